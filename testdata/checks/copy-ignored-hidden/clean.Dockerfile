FROM scratch
COPY . /a/
