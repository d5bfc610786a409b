# check=skip=StageNameCasing
FROM scratch AS Base
# check=skip=all
MAINTAINER me
