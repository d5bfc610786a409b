FROM one AS two
RUN first \
  second
