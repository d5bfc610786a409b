#!/bin/sh
cat "$PAGE"
echo "read by user $(id -u)"
