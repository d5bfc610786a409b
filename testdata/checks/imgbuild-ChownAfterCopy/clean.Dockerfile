FROM scratch
WORKDIR /srv
COPY --chown=1 Dockerfile /app/
RUN chown -R app:app /app
COPY Dockerfile /a/
RUN npm ci && chown -R app /a
COPY Dockerfile /b/
RUN chown app /b/Dockerfile
COPY Dockerfile /c/
RUN true
RUN chown -R app /c
COPY Dockerfile /d/
RUN chown -R app /elsewhere
COPY Dockerfile /e/
RUN ["chown", "-R", "app", "/e"]
