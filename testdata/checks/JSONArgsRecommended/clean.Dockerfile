FROM scratch AS base
SHELL ["/bin/bash", "-c"]
CMD start

FROM base
ENTRYPOINT server
CMD ["start"]
