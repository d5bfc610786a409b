# check=experimental=CopyIgnoredFile
FROM scratch AS base
COPY plain.txt . /x/
COPY <<secret.txt /z/
secret.txt

FROM base
COPY --from=base secret.txt /y/
