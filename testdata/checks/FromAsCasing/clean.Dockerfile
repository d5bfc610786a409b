FROM scratch AS base
ENV a=1

FROM base AS next
