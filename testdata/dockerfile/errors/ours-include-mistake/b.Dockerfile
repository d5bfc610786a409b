RUN ok
INCLUDE c.Dockerfile
