FROM scratch AS scratched
ENV a=1
