# a comment
RUN <<EOF
INCLUDE nothing: this is text
EOF
include more.Dockerfile
