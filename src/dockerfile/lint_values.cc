// Rules that need values, bases or the build context: described here, judged
// by `plan`.
#include "dockerfile/lint_rules.h"

namespace imgbuild::dockerfile {
namespace {

const Rule kValues[] = {
    {.id = RuleId::kUndefinedArgInFrom,
     .name = "UndefinedArgInFrom",
     .description = "FROM command must use declared ARGs",
     .url = "https://docs.docker.com/go/dockerfile/rule/undefined-arg-in-from/",
     .fires = "FROM uses a variable that no ARG before the first FROM "
              "declares and that is not one of the platform arguments.",
     .why = "FROM sees only the ARGs in front of the first FROM. Any other "
            "name is empty there, and the image is another one than was "
            "meant, or none.",
     .bad = "FROM alpine:${VERSION}",
     .good = "ARG VERSION=3.20\nFROM alpine:${VERSION}"},
    {.id = RuleId::kUndefinedVar,
     .name = "UndefinedVar",
     .description = "Variables should be defined before their use",
     .url = "https://docs.docker.com/go/dockerfile/rule/undefined-var/",
     .fires = "An instruction uses a variable that neither the base image, nor "
              "an ENV, nor an ARG of the stage has set.",
     .why = "The variable is empty, so `COPY $SRC /app` copies something else "
            "than was meant. Mostly it is a typing error, or an ARG that was "
            "declared in another stage.",
     .bad = "FROM alpine\nCOPY $foo /app",
     .good = "FROM alpine\nARG foo\nCOPY $foo /app"},
    {.id = RuleId::kInvalidDefaultArgInFrom,
     .name = "InvalidDefaultArgInFrom",
     .description = "Default value for global ARG results in an empty or "
                    "invalid base image name",
     .url = "https://docs.docker.com/go/dockerfile/rule/"
            "invalid-default-arg-in-from/",
     .fires = "Without any --build-arg, a FROM would name no image.",
     .why = "Whoever builds without the argument gets an error about an "
            "image name instead of an image. A default makes the plain build "
            "work.",
     .bad = "ARG TAG\nFROM busybox:${TAG}",
     .good = "ARG TAG=latest\nFROM busybox:${TAG}"},
    {.id = RuleId::kWorkdirRelativePath,
     .name = "WorkdirRelativePath",
     .description = "Relative workdir without an absolute workdir declared "
                    "within the build can have unexpected results if the base "
                    "image changes",
     .url = "https://docs.docker.com/go/dockerfile/rule/workdir-relative-path/",
     .fires = "The first WORKDIR of a stage (and of the stages it stands on) "
              "is a relative path.",
     .why = "It is relative to the base image's working directory. When a new "
            "base has another one, every later path moves.",
     .bad = "FROM nginx\nWORKDIR usr/share/nginx/html",
     .good = "FROM nginx\nWORKDIR /usr/share/nginx/html"},
    {.id = RuleId::kSecretsUsedInArgOrEnv,
     .name = "SecretsUsedInArgOrEnv",
     .description =
         "Sensitive data should not be used in the ARG or ENV commands",
     .url = "https://docs.docker.com/go/dockerfile/rule/"
            "secrets-used-in-arg-or-env/",
     .fires = "The name of an ARG or ENV has a word like token, password, "
              "secret or key in it.",
     .why = "Values of ARG and ENV stand in the image's history and config, "
            "where everybody who can pull the image reads them. A secret mount "
            "leaves nothing behind.",
     .bad = "ARG AWS_SECRET_ACCESS_KEY\nRUN deploy",
     .good = "RUN --mount=type=secret,id=aws,env=AWS_SECRET_ACCESS_KEY deploy"},
    {.id = RuleId::kCopyIgnoredFile,
     .name = "CopyIgnoredFile",
     .description = "Attempting to Copy file that is excluded by .dockerignore",
     .url = "https://docs.docker.com/go/dockerfile/rule/copy-ignored-file/",
     .fires = "A source of COPY or ADD is hidden by the ignore file. Ignore "
              "files with exceptions (!) are not judged.",
     .why = "The file is not in the build context, so the step fails or "
            "copies nothing.",
     .bad = "# .dockerignore: tmp\nCOPY tmp/settings.json /app/",
     .good = "# .dockerignore: tmp\nCOPY settings.json /app/"},
};

const Rule kPlatforms[] = {
    {.id = RuleId::kRedundantTargetPlatform,
     .name = "RedundantTargetPlatform",
     .description = "Setting platform to predefined $TARGETPLATFORM in FROM is "
                    "redundant as this is the default behavior",
     .url = "https://docs.docker.com/go/dockerfile/rule/"
            "redundant-target-platform/",
     .fires = "FROM has --platform=$TARGETPLATFORM.",
     .why = "That is the platform anyway.",
     .bad = "FROM --platform=$TARGETPLATFORM alpine AS builder",
     .good = "FROM alpine AS builder"},
    {.id = RuleId::kFromPlatformFlagConstDisallowed,
     .name = "FromPlatformFlagConstDisallowed",
     .description = "FROM --platform flag should not use a constant value",
     .url = "https://docs.docker.com/go/dockerfile/rule/"
            "from-platform-flag-const-disallowed/",
     .fires = "FROM has a --platform that is written out, and the stage's name "
              "does not mention the system or the architecture.",
     .why = "The stage is for that platform whatever --platform asks for. "
            "Mostly $BUILDPLATFORM is meant, or `build --platform`. A stage "
            "for one platform on purpose says so in its name.",
     .bad = "FROM --platform=linux/amd64 alpine AS base",
     .good = "FROM --platform=$BUILDPLATFORM alpine AS base"},
    {.id = RuleId::kInvalidBaseImagePlatform,
     .name = "InvalidBaseImagePlatform",
     .description =
         "Base image platform does not match expected target platform",
     .url = "",
     .fires = "The base image is for another platform than the stage.",
     .why = "Its programs will not run there. The tag was probably pushed from "
            "a machine of another architecture, or has no image for this one.",
     .bad = "# build --platform linux/arm64\nFROM amd64-only-image",
     .good = "# build --platform linux/arm64\nFROM image-with-both-platforms"},
};

}  // namespace

std::span<const Rule> ValueRules() { return kValues; }
std::span<const Rule> PlatformRules() { return kPlatforms; }

}  // namespace imgbuild::dockerfile
