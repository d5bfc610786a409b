# check=skip=StageNameCasing,imgbuild/*;experimental=all
FROM scratch AS Base
# check=skip=LegacyKeyValueFormat
ENV a b
