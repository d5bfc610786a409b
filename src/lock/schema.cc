#include "imgbuild/lock/lockfile.h"

namespace imgbuild::lock {

// Of the TOML document as data; draft 2020-12. Fields beyond these are allowed
// and kept.
std::string JsonSchema() {
  return R"json({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Dockerfile.lock, version 1 (TOML as data)",
  "type": "object",
  "required": ["version"],
  "properties": {
    "version": {"const": 1},
    "settings": {
      "type": "object",
      "properties": {
        "layer-format": {"type": "integer", "minimum": 1},
        "encoder": {"type": "string"},
        "source-date-epoch": {"type": "integer"},
        "platforms": {"type": "array", "items": {"$ref": "#/$defs/platform"}},
        "contexts": {"$ref": "#/$defs/strings"}
      }
    },
    "variant": {
      "type": "array",
      "items": {
        "type": "object",
        "required": ["name"],
        "properties": {
          "name": {"type": "string", "minLength": 1, "not": {"const": "default"}},
          "args": {"$ref": "#/$defs/strings"}
        }
      }
    },
    "image": {
      "type": "array",
      "items": {
        "type": "object",
        "required": ["name", "digest", "media-type", "size", "platform"],
        "properties": {
          "name": {"type": "string", "minLength": 1},
          "written": {"type": "array", "items": {"type": "string"}},
          "digest": {"$ref": "#/$defs/digest"},
          "media-type": {"type": "string", "minLength": 1},
          "size": {"type": "integer", "minimum": 0},
          "args": {"$ref": "#/$defs/strings"},
          "variants": {"type": "array", "items": {"type": "string"}},
          "previous": {"type": "array", "items": {"$ref": "#/$defs/digest"}},
          "added": {"type": "boolean"},
          "platform": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"$ref": "#/$defs/platform"},
            "additionalProperties": {
              "type": "object",
              "required": ["manifest", "size", "config"],
              "properties": {
                "manifest": {"$ref": "#/$defs/digest"},
                "size": {"type": "integer", "minimum": 0},
                "config": {"$ref": "#/$defs/digest"},
                "actual": {"$ref": "#/$defs/platform"},
                "created": {"type": "string"}
              }
            }
          }
        }
      }
    },
    "url": {
      "type": "array",
      "items": {
        "type": "object",
        "required": ["name", "checksum", "size"],
        "properties": {
          "name": {"type": "string", "minLength": 1},
          "checksum": {"$ref": "#/$defs/digest"},
          "size": {"type": "integer", "minimum": 0},
          "args": {"$ref": "#/$defs/strings"},
          "variants": {"type": "array", "items": {"type": "string"}},
          "previous": {"type": "array", "items": {"$ref": "#/$defs/digest"}}
        }
      }
    },
    "git": {
      "type": "array",
      "items": {
        "type": "object",
        "required": ["name", "commit"],
        "properties": {
          "name": {"type": "string", "minLength": 1},
          "commit": {"$ref": "#/$defs/commit"},
          "args": {"$ref": "#/$defs/strings"},
          "variants": {"type": "array", "items": {"type": "string"}},
          "previous": {"type": "array", "items": {"$ref": "#/$defs/commit"}}
        }
      }
    },
    "frontend": {
      "type": "array",
      "items": {
        "type": "object",
        "required": ["name", "digest", "media-type", "size"],
        "properties": {
          "name": {"type": "string", "minLength": 1},
          "digest": {"$ref": "#/$defs/digest"},
          "media-type": {"type": "string", "minLength": 1},
          "size": {"type": "integer", "minimum": 0}
        }
      }
    },
    "output": {
      "type": "array",
      "items": {
        "type": "object",
        "required": ["platform", "manifest"],
        "properties": {
          "target": {"type": "string"},
          "platform": {"$ref": "#/$defs/platform"},
          "variant": {"type": "string"},
          "manifest": {"$ref": "#/$defs/digest"}
        }
      }
    },
    "policy": {"type": "object"}
  },
  "$defs": {
    "digest": {
      "type": "string",
      "pattern": "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$"
    },
    "commit": {"type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$"},
    "platform": {"type": "string", "pattern": "^[^/]+(/[^/]+){1,2}$"},
    "strings": {"type": "object", "additionalProperties": {"type": "string"}}
  }
}
)json";
}

}  // namespace imgbuild::lock
