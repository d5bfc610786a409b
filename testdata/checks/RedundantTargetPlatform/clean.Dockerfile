FROM --platform=$BUILDPLATFORM scratch
ENV a=1
