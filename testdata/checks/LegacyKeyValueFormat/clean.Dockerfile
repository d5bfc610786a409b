FROM scratch
ENV depth=3 mode=fast
LABEL a=b
