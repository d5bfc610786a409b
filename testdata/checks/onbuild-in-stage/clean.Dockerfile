FROM scratch AS base
ONBUILD ENV a=b

FROM base
CMD ["y"]
