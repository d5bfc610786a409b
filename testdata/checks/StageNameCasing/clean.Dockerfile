FROM scratch AS base
ENV a=1
