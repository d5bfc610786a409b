# check=skip=all
FROM scratch AS Base
ENV a=$b
