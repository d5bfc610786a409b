FROM scratch AS base
ENV a=b

FROM scratch AS other
ENV c d
