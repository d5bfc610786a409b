// Expands every word of a file that expansion applies to.
#ifndef IMGBUILD_TESTS_DOCKERFILE_EXPAND_ALL_H_
#define IMGBUILD_TESTS_DOCKERFILE_EXPAND_ALL_H_

#include "imgbuild/dockerfile/ast.h"

namespace imgbuild::dockerfile {

// With no variable set. Throws the first Error.
void ExpandAll(const Dockerfile& file);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_TESTS_DOCKERFILE_EXPAND_ALL_H_
