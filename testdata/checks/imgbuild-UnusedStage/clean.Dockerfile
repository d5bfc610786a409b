# test runs the tests
FROM scratch AS test
ENV a=1

FROM scratch AS tools
FROM scratch AS kind-a
FROM scratch AS mounted
FROM scratch

FROM kind-${TARGETVARIANT:-a} AS triggered
FROM scratch AS last
ONBUILD COPY --from=triggered / /
COPY --from=tools / /x
COPY --from=4 / /y
RUN --mount=from=mounted,target=/m true
