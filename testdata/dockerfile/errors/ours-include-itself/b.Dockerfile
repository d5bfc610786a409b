INCLUDE c.Dockerfile
