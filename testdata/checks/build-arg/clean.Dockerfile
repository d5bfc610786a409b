FROM scratch AS base
ENV a b
