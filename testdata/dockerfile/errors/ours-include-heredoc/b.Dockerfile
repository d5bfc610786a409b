RUN <<EOF
text
