# check=experimental=InvalidDefinitionDescription

# VERSION the version
ARG VERSION=1

# A of them
ARG A=1 B=2

# first
# base the base
FROM scratch${VERSION:+}${A:+}${B:+} AS base
