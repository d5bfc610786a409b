FROM --platform=linux/amd64 scratch AS base-amd64
ENV a=1

FROM base-amd64 AS next
