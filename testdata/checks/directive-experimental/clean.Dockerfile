# check=skip=all
# some words
FROM scratch AS Base
ENV a=$b
