FROM scratch AS base
ENV a=1

FROM base AS next
ENV b=1

FROM next AS last
