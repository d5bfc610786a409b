ARG BASE=busybox
