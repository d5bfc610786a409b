FROM scratch
ARG where dir=a source=Dockerfile
ENV good=$PATH home=$where
RUN --mount=type=cache,target=/cache/$where echo $anything
WORKDIR /w$dir
COPY $source <<'X' /dest/
$body
X
CMD ["$nothing"]
