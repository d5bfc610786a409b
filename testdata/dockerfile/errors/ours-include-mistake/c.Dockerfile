RUN ok

  COPYY a b
