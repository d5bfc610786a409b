INCLUDE b.Dockerfile
