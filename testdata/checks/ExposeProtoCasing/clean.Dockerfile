FROM scratch
EXPOSE 80/tcp 90/udp 70
