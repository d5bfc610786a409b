FROM registry.test/busybox
COPY f /
