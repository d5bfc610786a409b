FROM scratch
COPY Dockerfile \
  /a/
ENV a=1 \
# a comment is fine
  b=2 \
  c=3
