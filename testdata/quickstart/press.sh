# Makes a page of the files of a directory, in the order of their names.
printf '  %s\n\n' "$TITLE"
for file in "$1"/*.txt; do
  printf '  * '
  cat "$file"
done
echo
