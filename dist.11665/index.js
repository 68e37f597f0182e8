var __defProp = Object.defineProperty;
var __knownSymbol = (name, symbol) => (symbol = Symbol[name]) ? symbol : /* @__PURE__ */ Symbol.for("Symbol." + name);
var __typeError = (msg) => {
  throw TypeError(msg);
};
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __using = (stack, value, async) => {
  if (value != null) {
    if (typeof value !== "object" && typeof value !== "function") __typeError("Object expected");
    var dispose, inner;
    if (async) dispose = value[__knownSymbol("asyncDispose")];
    if (dispose === void 0) {
      dispose = value[__knownSymbol("dispose")];
      if (async) inner = dispose;
    }
    if (typeof dispose !== "function") __typeError("Object not disposable");
    if (inner) dispose = function() {
      try {
        inner.call(this);
      } catch (e) {
        return Promise.reject(e);
      }
    };
    stack.push([async, dispose, value]);
  } else if (async) {
    stack.push([async]);
  }
  return value;
};
var __callDispose = (stack, error, hasError) => {
  var E = typeof SuppressedError === "function" ? SuppressedError : function(e, s, m, _) {
    return _ = Error(m), _.name = "SuppressedError", _.error = e, _.suppressed = s, _;
  };
  var fail = (e) => error = hasError ? new E(e, error, "An error was suppressed during disposal") : (hasError = true, e);
  var next = (it) => {
    while (it = stack.pop()) {
      try {
        var result = it[1] && it[1].call(it[2]);
        if (it[0]) return Promise.resolve(result).then(next, (e) => (fail(e), next()));
      } catch (e) {
        fail(e);
      }
    }
    if (hasError) throw error;
  };
  return next();
};

// node_modules/valibot/dist/index.mjs
var store$4;
var DEFAULT_CONFIG = {
  lang: void 0,
  message: void 0,
  abortEarly: void 0,
  abortPipeEarly: void 0
};
// @__NO_SIDE_EFFECTS__
function getGlobalConfig(config$1) {
  if (!config$1 && !store$4) return DEFAULT_CONFIG;
  return {
    lang: config$1?.lang ?? store$4?.lang,
    message: config$1?.message,
    abortEarly: config$1?.abortEarly ?? store$4?.abortEarly,
    abortPipeEarly: config$1?.abortPipeEarly ?? store$4?.abortPipeEarly
  };
}
var store$3;
// @__NO_SIDE_EFFECTS__
function getGlobalMessage(lang) {
  return store$3?.get(lang);
}
var store$2;
// @__NO_SIDE_EFFECTS__
function getSchemaMessage(lang) {
  return store$2?.get(lang);
}
var store$1;
// @__NO_SIDE_EFFECTS__
function getSpecificMessage(reference, lang) {
  return store$1?.get(reference)?.get(lang);
}
// @__NO_SIDE_EFFECTS__
function _stringify(input) {
  const type = typeof input;
  if (type === "string") return `"${input}"`;
  if (type === "number" || type === "bigint" || type === "boolean") return `${input}`;
  if (type === "object" || type === "function") return (input && Object.getPrototypeOf(input)?.constructor?.name) ?? "null";
  return type;
}
function _addIssue(context, label, dataset, config$1, other) {
  const input = other && "input" in other ? other.input : dataset.value;
  const expected = other?.expected ?? context.expects ?? null;
  const received = other?.received ?? /* @__PURE__ */ _stringify(input);
  const issue = {
    kind: context.kind,
    type: context.type,
    input,
    expected,
    received,
    message: `Invalid ${label}: ${expected ? `Expected ${expected} but r` : "R"}eceived ${received}`,
    requirement: context.requirement,
    path: other?.path,
    issues: other?.issues,
    lang: config$1.lang,
    abortEarly: config$1.abortEarly,
    abortPipeEarly: config$1.abortPipeEarly
  };
  const isSchema = context.kind === "schema";
  const message$1 = other?.message ?? context.message ?? /* @__PURE__ */ getSpecificMessage(context.reference, issue.lang) ?? (isSchema ? /* @__PURE__ */ getSchemaMessage(issue.lang) : null) ?? config$1.message ?? /* @__PURE__ */ getGlobalMessage(issue.lang);
  if (message$1 !== void 0) issue.message = typeof message$1 === "function" ? message$1(issue) : message$1;
  if (isSchema) dataset.typed = false;
  if (dataset.issues) dataset.issues.push(issue);
  else dataset.issues = [issue];
}
// @__NO_SIDE_EFFECTS__
function _isSameValueZero(value1, value2) {
  return value1 === value2 || Number.isNaN(value1) && Number.isNaN(value2);
}
// @__NO_SIDE_EFFECTS__
function _joinExpects(values$1, separator) {
  const list = [...new Set(values$1)];
  if (list.length > 1) return `(${list.join(` ${separator} `)})`;
  return list[0] ?? "never";
}
function _standardSchema(schema2) {
  schema2["~standard"] = {
    version: 1,
    vendor: "valibot",
    validate: (value$1) => schema2["~run"]({ value: value$1 }, /* @__PURE__ */ getGlobalConfig())
  };
  return schema2;
}
// @__NO_SIDE_EFFECTS__
function getDotPath(issue) {
  if (issue.path) {
    let key = "";
    for (const item of issue.path) if (typeof item.key === "string" || typeof item.key === "number") if (key) key += `.${item.key}`;
    else key += item.key;
    else return null;
    return key;
  }
  return null;
}
var EMOJI_REGEX = new RegExp("^(?:[\\u{1F1E6}-\\u{1F1FF}]{2}|\\u{1F3F4}[\\u{E0061}-\\u{E007A}]{2}[\\u{E0030}-\\u{E0039}\\u{E0061}-\\u{E007A}]{1,3}\\u{E007F}|(?:\\p{Emoji}\\uFE0F\\u20E3?|\\p{Emoji_Modifier_Base}\\p{Emoji_Modifier}?|(?![\\p{Emoji_Modifier_Base}\\u{1F1E6}-\\u{1F1FF}])\\p{Emoji_Presentation})(?:\\u200D(?:\\p{Emoji}\\uFE0F\\u20E3?|\\p{Emoji_Modifier_Base}\\p{Emoji_Modifier}?|(?![\\p{Emoji_Modifier_Base}\\u{1F1E6}-\\u{1F1FF}])\\p{Emoji_Presentation}))*)+$", "u");
// @__NO_SIDE_EFFECTS__
function check(requirement, message$1) {
  return {
    kind: "validation",
    type: "check",
    reference: check,
    async: false,
    expects: null,
    requirement,
    message: message$1,
    "~run"(dataset, config$1) {
      if (dataset.typed && !this.requirement(dataset.value)) _addIssue(this, "input", dataset, config$1);
      return dataset;
    }
  };
}
// @__NO_SIDE_EFFECTS__
function integer(message$1) {
  return {
    kind: "validation",
    type: "integer",
    reference: integer,
    async: false,
    expects: null,
    requirement: Number.isInteger,
    message: message$1,
    "~run"(dataset, config$1) {
      if (dataset.typed && !this.requirement(dataset.value)) _addIssue(this, "integer", dataset, config$1);
      return dataset;
    }
  };
}
// @__NO_SIDE_EFFECTS__
function maxValue(requirement, message$1) {
  return {
    kind: "validation",
    type: "max_value",
    reference: maxValue,
    async: false,
    expects: `<=${requirement instanceof Date ? requirement.toJSON() : /* @__PURE__ */ _stringify(requirement)}`,
    requirement,
    message: message$1,
    "~run"(dataset, config$1) {
      if (dataset.typed && !(dataset.value <= this.requirement)) _addIssue(this, "value", dataset, config$1, { received: dataset.value instanceof Date ? dataset.value.toJSON() : /* @__PURE__ */ _stringify(dataset.value) });
      return dataset;
    }
  };
}
// @__NO_SIDE_EFFECTS__
function minValue(requirement, message$1) {
  return {
    kind: "validation",
    type: "min_value",
    reference: minValue,
    async: false,
    expects: `>=${requirement instanceof Date ? requirement.toJSON() : /* @__PURE__ */ _stringify(requirement)}`,
    requirement,
    message: message$1,
    "~run"(dataset, config$1) {
      if (dataset.typed && !(dataset.value >= this.requirement)) _addIssue(this, "value", dataset, config$1, { received: dataset.value instanceof Date ? dataset.value.toJSON() : /* @__PURE__ */ _stringify(dataset.value) });
      return dataset;
    }
  };
}
// @__NO_SIDE_EFFECTS__
function nonEmpty(message$1) {
  return {
    kind: "validation",
    type: "non_empty",
    reference: nonEmpty,
    async: false,
    expects: "!0",
    message: message$1,
    "~run"(dataset, config$1) {
      if (dataset.typed && dataset.value.length === 0) _addIssue(this, "length", dataset, config$1, { received: "0" });
      return dataset;
    }
  };
}
// @__NO_SIDE_EFFECTS__
function regex(requirement, message$1) {
  return {
    kind: "validation",
    type: "regex",
    reference: regex,
    async: false,
    expects: `${requirement}`,
    requirement,
    message: message$1,
    "~run"(dataset, config$1) {
      if (dataset.typed && !this.requirement.test(dataset.value)) _addIssue(this, "format", dataset, config$1);
      return dataset;
    }
  };
}
// @__NO_SIDE_EFFECTS__
function transform(operation) {
  return {
    kind: "transformation",
    type: "transform",
    reference: transform,
    async: false,
    operation,
    "~run"(dataset) {
      dataset.value = this.operation(dataset.value);
      return dataset;
    }
  };
}
var ABORT_EARLY_CONFIG = { abortEarly: true };
// @__NO_SIDE_EFFECTS__
function getFallback(schema2, dataset, config$1) {
  return typeof schema2.fallback === "function" ? schema2.fallback(dataset, config$1) : schema2.fallback;
}
// @__NO_SIDE_EFFECTS__
function getDefault(schema2, dataset, config$1) {
  return typeof schema2.default === "function" ? schema2.default(dataset, config$1) : schema2.default;
}
// @__NO_SIDE_EFFECTS__
function array(item, message$1) {
  return _standardSchema({
    kind: "schema",
    type: "array",
    reference: array,
    expects: "Array",
    async: false,
    item,
    message: message$1,
    "~run"(dataset, config$1) {
      const input = dataset.value;
      if (Array.isArray(input)) {
        dataset.typed = true;
        dataset.value = [];
        for (let key = 0; key < input.length; key++) {
          const value$1 = input[key];
          const itemDataset = this.item["~run"]({ value: value$1 }, config$1);
          if (itemDataset.issues) {
            const pathItem = {
              type: "array",
              origin: "value",
              input,
              key,
              value: value$1
            };
            for (const issue of itemDataset.issues) {
              if (issue.path) issue.path.unshift(pathItem);
              else issue.path = [pathItem];
              dataset.issues?.push(issue);
            }
            if (!dataset.issues) dataset.issues = itemDataset.issues;
            if (config$1.abortEarly) {
              dataset.typed = false;
              break;
            }
          }
          if (!itemDataset.typed) dataset.typed = false;
          dataset.value.push(itemDataset.value);
        }
      } else _addIssue(this, "type", dataset, config$1);
      return dataset;
    }
  });
}
// @__NO_SIDE_EFFECTS__
function boolean(message$1) {
  return _standardSchema({
    kind: "schema",
    type: "boolean",
    reference: boolean,
    expects: "boolean",
    async: false,
    message: message$1,
    "~run"(dataset, config$1) {
      if (typeof dataset.value === "boolean") dataset.typed = true;
      else _addIssue(this, "type", dataset, config$1);
      return dataset;
    }
  });
}
// @__NO_SIDE_EFFECTS__
function literal(literal_, message$1) {
  return _standardSchema({
    kind: "schema",
    type: "literal",
    reference: literal,
    expects: /* @__PURE__ */ _stringify(literal_),
    async: false,
    literal: literal_,
    message: message$1,
    "~run"(dataset, config$1) {
      if (/* @__PURE__ */ _isSameValueZero(dataset.value, this.literal)) dataset.typed = true;
      else _addIssue(this, "type", dataset, config$1);
      return dataset;
    }
  });
}
// @__NO_SIDE_EFFECTS__
function number(message$1) {
  return _standardSchema({
    kind: "schema",
    type: "number",
    reference: number,
    expects: "number",
    async: false,
    message: message$1,
    "~run"(dataset, config$1) {
      if (typeof dataset.value === "number" && !isNaN(dataset.value)) dataset.typed = true;
      else _addIssue(this, "type", dataset, config$1);
      return dataset;
    }
  });
}
// @__NO_SIDE_EFFECTS__
function optional(wrapped, default_) {
  return _standardSchema({
    kind: "schema",
    type: "optional",
    reference: optional,
    expects: `(${wrapped.expects} | undefined)`,
    async: false,
    wrapped,
    default: default_,
    "~run"(dataset, config$1) {
      if (dataset.value === void 0) {
        if (this.default !== void 0) dataset.value = /* @__PURE__ */ getDefault(this, dataset, config$1);
        if (dataset.value === void 0) {
          dataset.typed = true;
          return dataset;
        }
      }
      return this.wrapped["~run"](dataset, config$1);
    }
  });
}
// @__NO_SIDE_EFFECTS__
function picklist(options, message$1) {
  return _standardSchema({
    kind: "schema",
    type: "picklist",
    reference: picklist,
    expects: /* @__PURE__ */ _joinExpects(options.map(_stringify), "|"),
    async: false,
    options,
    message: message$1,
    "~run"(dataset, config$1) {
      if (this.options.includes(dataset.value)) dataset.typed = true;
      else _addIssue(this, "type", dataset, config$1);
      return dataset;
    }
  });
}
// @__NO_SIDE_EFFECTS__
function strictObject(entries$1, message$1) {
  return _standardSchema({
    kind: "schema",
    type: "strict_object",
    reference: strictObject,
    expects: "Object",
    async: false,
    entries: entries$1,
    message: message$1,
    "~run"(dataset, config$1) {
      const input = dataset.value;
      if (input && typeof input === "object") {
        dataset.typed = true;
        dataset.value = {};
        for (const key in this.entries) {
          const valueSchema = this.entries[key];
          if (key in input || (valueSchema.type === "exact_optional" || valueSchema.type === "optional" || valueSchema.type === "nullish") && valueSchema.default !== void 0) {
            const value$1 = key in input ? input[key] : /* @__PURE__ */ getDefault(valueSchema);
            const valueDataset = valueSchema["~run"]({ value: value$1 }, config$1);
            if (valueDataset.issues) {
              const pathItem = {
                type: "object",
                origin: "value",
                input,
                key,
                value: value$1
              };
              for (const issue of valueDataset.issues) {
                if (issue.path) issue.path.unshift(pathItem);
                else issue.path = [pathItem];
                dataset.issues?.push(issue);
              }
              if (!dataset.issues) dataset.issues = valueDataset.issues;
              if (config$1.abortEarly) {
                dataset.typed = false;
                break;
              }
            }
            if (!valueDataset.typed) dataset.typed = false;
            dataset.value[key] = valueDataset.value;
          } else if (valueSchema.fallback !== void 0) dataset.value[key] = /* @__PURE__ */ getFallback(valueSchema);
          else if (valueSchema.type !== "exact_optional" && valueSchema.type !== "optional" && valueSchema.type !== "nullish") {
            _addIssue(this, "key", dataset, config$1, {
              input: void 0,
              expected: `"${key}"`,
              path: [{
                type: "object",
                origin: "key",
                input,
                key,
                value: input[key]
              }]
            });
            if (config$1.abortEarly) break;
          }
        }
        if (!dataset.issues || !config$1.abortEarly) {
          for (const key in input) if (!Object.prototype.hasOwnProperty.call(this.entries, key)) {
            _addIssue(this, "key", dataset, config$1, {
              input: key,
              expected: "never",
              path: [{
                type: "object",
                origin: "key",
                input,
                key,
                value: input[key]
              }]
            });
            break;
          }
        }
      } else _addIssue(this, "type", dataset, config$1);
      return dataset;
    }
  });
}
// @__NO_SIDE_EFFECTS__
function string(message$1) {
  return _standardSchema({
    kind: "schema",
    type: "string",
    reference: string,
    expects: "string",
    async: false,
    message: message$1,
    "~run"(dataset, config$1) {
      if (typeof dataset.value === "string") dataset.typed = true;
      else _addIssue(this, "type", dataset, config$1);
      return dataset;
    }
  });
}
// @__NO_SIDE_EFFECTS__
function variant(key, options, message$1) {
  return _standardSchema({
    kind: "schema",
    type: "variant",
    reference: variant,
    expects: "Object",
    async: false,
    key,
    options,
    message: message$1,
    "~run"(dataset, config$1) {
      const input = dataset.value;
      if (input && typeof input === "object") {
        let outputDataset;
        let maxDiscriminatorPriority = 0;
        let invalidDiscriminatorKey = this.key;
        let expectedDiscriminators = [];
        const parseOptions = (variant$1, allKeys) => {
          for (const schema2 of variant$1.options) {
            if (schema2.type === "variant") parseOptions(schema2, new Set(allKeys).add(schema2.key));
            else {
              let keysAreValid = true;
              let currentPriority = 0;
              for (const currentKey of allKeys) {
                const discriminatorSchema = schema2.entries[currentKey];
                if (currentKey in input ? discriminatorSchema["~run"]({
                  typed: false,
                  value: input[currentKey]
                }, ABORT_EARLY_CONFIG).issues : discriminatorSchema.type !== "exact_optional" && discriminatorSchema.type !== "optional" && discriminatorSchema.type !== "nullish") {
                  keysAreValid = false;
                  if (invalidDiscriminatorKey !== currentKey && (maxDiscriminatorPriority < currentPriority || maxDiscriminatorPriority === currentPriority && currentKey in input && !(invalidDiscriminatorKey in input))) {
                    maxDiscriminatorPriority = currentPriority;
                    invalidDiscriminatorKey = currentKey;
                    expectedDiscriminators = [];
                  }
                  if (invalidDiscriminatorKey === currentKey) expectedDiscriminators.push(schema2.entries[currentKey].expects);
                  break;
                }
                currentPriority++;
              }
              if (keysAreValid) {
                const optionDataset = schema2["~run"]({ value: input }, config$1);
                if (!outputDataset || !outputDataset.typed && optionDataset.typed) outputDataset = optionDataset;
              }
            }
            if (outputDataset && !outputDataset.issues) break;
          }
        };
        parseOptions(this, /* @__PURE__ */ new Set([this.key]));
        if (outputDataset) return outputDataset;
        _addIssue(this, "type", dataset, config$1, {
          input: input[invalidDiscriminatorKey],
          expected: /* @__PURE__ */ _joinExpects(expectedDiscriminators, "|"),
          path: [{
            type: "object",
            origin: "value",
            input,
            key: invalidDiscriminatorKey,
            value: input[invalidDiscriminatorKey]
          }]
        });
      } else _addIssue(this, "type", dataset, config$1);
      return dataset;
    }
  });
}
// @__NO_SIDE_EFFECTS__
function pipe(...pipe$1) {
  return _standardSchema({
    ...pipe$1[0],
    pipe: pipe$1,
    "~run"(dataset, config$1) {
      for (const item of pipe$1) if (item.kind !== "metadata") {
        if (dataset.issues && (item.kind === "schema" || item.kind === "transformation")) {
          dataset.typed = false;
          break;
        }
        if (!dataset.issues || !config$1.abortEarly && !config$1.abortPipeEarly) dataset = item["~run"](dataset, config$1);
      }
      return dataset;
    }
  });
}
// @__NO_SIDE_EFFECTS__
function safeParse(schema2, input, config$1) {
  const dataset = schema2["~run"]({ value: input }, /* @__PURE__ */ getGlobalConfig(config$1));
  return {
    typed: dataset.typed,
    success: !dataset.issues,
    output: dataset.value,
    issues: dataset.issues
  };
}

// src/machine/errors.ts
var MachineDescriptionError = class {
  message;
  constructor(message) {
    this.message = message;
  }
};

// src/machine/values.ts
function hexadecimal(bits) {
  return pipe(
    string(`write it as a string: "0x..."`),
    regex(/^0x[0-9a-f]+$/i, `"0x" and hexadecimal digits are expected here, as in "0x29d3"`),
    transform((text) => BigInt(text)),
    check((value) => value < 1n << BigInt(bits), `it has ${bits} bits, and this is more`)
  );
}
var hex64 = hexadecimal(64);
var hex32 = pipe(hexadecimal(32), transform(Number));
var hex24 = pipe(hexadecimal(24), transform(Number));
var hex16 = pipe(hexadecimal(16), transform(Number));
function integer2(first, last) {
  const message = `a number from ${first} to ${last} is expected here`;
  return pipe(number(message), integer(message), minValue(first, message), maxValue(last, message));
}
var powerOfTwo = pipe(
  number("a number of bytes is expected here"),
  check((value) => Number.isInteger(Math.log2(value)), "a power of two is expected here")
);

// src/machine/pci-description.ts
var bar = strictObject({
  index: integer2(0, 5),
  /** Bytes. */
  size: powerOfTwo,
  space: optional(picklist(["memory32", "memory64", "io"]), "memory32"),
  prefetchable: optional(boolean(), false)
});
var msix = strictObject({
  vectors: integer2(1, 2048),
  bar: integer2(0, 5),
  tableOffset: optional(integer2(0, 2 ** 31), 0),
  pendingOffset: optional(integer2(0, 2 ** 31), 2048)
});
var firmwareRegion = pipe(
  strictObject({
    /** direct: to be mapped one to one; reserved: not to be used. */
    kind: picklist(["direct", "reserved"]),
    first: hex64,
    last: hex64
  }),
  check(({ first, last }) => first <= last, "first is after last")
);
var pciDescription = strictObject({
  /** Segment, bus, device, function. */
  address: pipe(
    string(),
    regex(/^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/, `an address is like "0000:00:03.0"`)
  ),
  vendor: hex16,
  device: hex16,
  subsystemVendor: optional(hex16, "0x1af4"),
  subsystem: optional(hex16, "0x1100"),
  revision: optional(integer2(0, 255), 0),
  /** Base class, subclass, programming interface. */
  class: hex24,
  /** Functions with the same number are in one group; without a number a function is alone in its group. */
  group: optional(integer2(0, 65535)),
  bars: optional(array(bar), []),
  /** 1 to 4 for INTA to INTD, 0 for none. */
  interruptPin: optional(integer2(0, 4), 0),
  msiVectors: optional(picklist([0, 1, 2, 4, 8, 16, 32]), 0),
  msix: optional(msix),
  /** A PCI Express function, which ATS, PRI and PASIDs take. */
  express: optional(boolean(), false),
  ats: optional(boolean(), false),
  pri: optional(boolean(), false),
  pasidBits: optional(integer2(0, 20), 0),
  /** Whether it can be reset without others. */
  canReset: optional(boolean(), true),
  /** Whether it has SR-IOV, so that programs share a VF token with those of its virtual functions. */
  sriov: optional(boolean(), false),
  /** The address of the physical function that it is a virtual function of. */
  virtualFunctionOf: optional(string()),
  firmwareRegions: optional(array(firmwareRegion), [])
});

// src/machine/iommu-description.ts
var devices = array(pciDescription);
var intelVtd = strictObject({
  driver: literal("intel-vtd"),
  registers: strictObject({ CAP_REG: hex64, ECAP_REG: hex64 }),
  devices
});
var amd = strictObject({
  driver: literal("amd"),
  registers: strictObject({
    EFR: hex64,
    EFR2: optional(hex64, "0x0"),
    /** IotlbSup and EFRSup. */
    CAPABILITY_HEADER: optional(hex32, "0x9000000")
  }),
  devices
});
var smmuRegisters = strictObject({
  IDR0: hex32,
  IDR1: hex32,
  IDR2: optional(hex32, "0x0"),
  IDR3: optional(hex32, "0x0"),
  IDR4: optional(hex32, "0x0"),
  IDR5: hex32,
  IIDR: optional(hex32, "0x0"),
  AIDR: optional(hex32, "0x0")
});
var rootComplex = strictObject({
  /** ATS attribute: ATS is supported. */
  ats: optional(boolean(), false),
  /** CANWBS: every access is cacheable, write-back and shareable, whatever the function asks for. */
  canwbs: optional(boolean(), false)
});
var armSmmuV3 = strictObject({
  driver: literal("arm-smmu-v3"),
  registers: smmuRegisters,
  rootComplex: optional(rootComplex, {}),
  /** Whether the kernel is built with CONFIG_ARM_SMMU_V3_SVA, which page faults take too. */
  sva: optional(boolean(), false),
  devices
});
var riscv = strictObject({
  driver: literal("riscv"),
  registers: strictObject({ capabilities: hex64 }),
  /** Linux 7.3's driver doesn't claim it, so that VFIO refuses the devices; true makes it claim it. */
  claimsCacheCoherency: optional(boolean(), false),
  devices
});
var s390Function = {
  /** First and last DMA address. */
  sdma: optional(hex64, "0x100000000"),
  edma: optional(hex64, "0x1ffffffffffffff"),
  /** Memory of the machine: Linux gives a function a window of that size. */
  memory: optional(hex64, "0x100000000")
};
var s390 = strictObject({
  driver: literal("s390"),
  ...s390Function,
  /** Designation types that are supported: bit 4 for tables that begin with region-second, bit 3 with region-first. */
  dtsm: optional(hex32, "0x0"),
  devices
});
var s390In2023 = strictObject({ driver: literal("s390-2023"), ...s390Function, devices });
var armSmmuIn2023 = strictObject({ driver: literal("arm-smmu-2023"), registers: smmuRegisters, devices });
var pamuIn2023 = strictObject({ driver: literal("pamu-2023"), devices });
var iommuDescription = variant("driver", [
  intelVtd,
  amd,
  armSmmuV3,
  riscv,
  s390,
  s390In2023,
  armSmmuIn2023,
  pamuIn2023
]);

// src/machine/description.ts
var contiguity = picklist(["4K", "2M", "1G", "as-addresses"]);
var schema = strictObject({
  name: pipe(string(), nonEmpty("a machine needs a name")),
  /** One line for `ioasis machines`. */
  description: string(),
  /** The mock IOMMU of CONFIG_IOMMUFD_TEST, and IOMMU_TEST_CMD. */
  selftest: optional(boolean(), false),
  /** The other IOMMUs, each with the PCI functions behind it. VFIO numbers the functions in this order. */
  iommus: optional(array(iommuDescription), []),
  memory: optional(
    strictObject({
      /** How far physical memory follows the virtual addresses. */
      contiguity: optional(contiguity, "as-addresses")
    })
  )
});
function parseMachineDescription(text, source) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new MachineDescriptionError(`${source} is not JSON: ${error.message}`);
  }
  const result = safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field2 = getDotPath(issue);
  throw new MachineDescriptionError(`${source}: ${field2 === null ? "" : `${field2}: `}${issue.message}`);
}

// src/uapi/errno.ts
var errnoNumbers = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ESPIPE: 29,
  ERANGE: 34,
  EDEADLK: 35,
  EBADE: 52,
  EOVERFLOW: 75,
  EBADFD: 77,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ENXIO: 6,
  ESRCH: 3,
  ETIMEDOUT: 110
};
var Errno = class {
  code;
  reason;
  constructor(code, reason) {
    this.code = code;
    this.reason = reason;
  }
  /** The positive number, as in `errno`. */
  get number() {
    return errnoNumbers[this.code];
  }
  /** Named as in Error, for those who print whatever they catch. */
  get message() {
    return `${this.code}: ${this.reason}`;
  }
  toString() {
    return this.message;
  }
};
function hex(value) {
  return `0x${value.toString(16)}`;
}

// src/uapi/iommufd.ts
var iommufd_exports = {};
__export(iommufd_exports, {
  Destroy: () => Destroy,
  FaultQueueAlloc: () => FaultQueueAlloc,
  GetHwInfo: () => GetHwInfo,
  HWPT_INVALIDATE_ENTRY_NUM_MAX: () => HWPT_INVALIDATE_ENTRY_NUM_MAX,
  HwCapabilities: () => HwCapabilities,
  HwInfoAmd: () => HwInfoAmd,
  HwInfoArmSmmuV3: () => HwInfoArmSmmuV3,
  HwInfoArmSmmuV3Flags: () => HwInfoArmSmmuV3Flags,
  HwInfoFlags: () => HwInfoFlags,
  HwInfoTegra241Cmdqv: () => HwInfoTegra241Cmdqv,
  HwInfoType: () => HwInfoType,
  HwInfoVtd: () => HwInfoVtd,
  HwInfoVtdFlags: () => HwInfoVtdFlags,
  HwQueueAlloc: () => HwQueueAlloc,
  HwQueueType: () => HwQueueType,
  HwptAlloc: () => HwptAlloc,
  HwptAllocFlags: () => HwptAllocFlags,
  HwptAmdGuest: () => HwptAmdGuest,
  HwptArmSmmuV3: () => HwptArmSmmuV3,
  HwptDataType: () => HwptDataType,
  HwptGetDirtyBitmap: () => HwptGetDirtyBitmap,
  HwptGetDirtyBitmapFlags: () => HwptGetDirtyBitmapFlags,
  HwptInvalidate: () => HwptInvalidate,
  HwptPageResponse: () => HwptPageResponse,
  HwptPgfault: () => HwptPgfault,
  HwptSetDirtyTracking: () => HwptSetDirtyTracking,
  HwptSetDirtyTrackingFlags: () => HwptSetDirtyTrackingFlags,
  HwptVtdS1: () => HwptVtdS1,
  HwptVtdS1Flags: () => HwptVtdS1Flags,
  HwptVtdS1Invalidate: () => HwptVtdS1Invalidate,
  InvalidateDataType: () => InvalidateDataType,
  IoasAlloc: () => IoasAlloc,
  IoasAllowIovas: () => IoasAllowIovas,
  IoasChangeProcess: () => IoasChangeProcess,
  IoasCopy: () => IoasCopy,
  IoasCopyFlags: () => IoasCopyFlags,
  IoasIovaRanges: () => IoasIovaRanges,
  IoasMap: () => IoasMap,
  IoasMapFile: () => IoasMapFile,
  IoasMapFlags: () => IoasMapFlags,
  IoasNoiommuGetPa: () => IoasNoiommuGetPa,
  IoasUnmap: () => IoasUnmap,
  IovaRange: () => IovaRange,
  Option: () => Option,
  OptionId: () => OptionId,
  OptionOp: () => OptionOp,
  PageResponseCode: () => PageResponseCode,
  PgfaultFlags: () => PgfaultFlags,
  PgfaultPerm: () => PgfaultPerm,
  VEVENTQ_MAX_DEPTH: () => VEVENTQ_MAX_DEPTH,
  VdeviceAlloc: () => VdeviceAlloc,
  VeventArmSmmuV3: () => VeventArmSmmuV3,
  VeventHeader: () => VeventHeader,
  VeventTegra241Cmdqv: () => VeventTegra241Cmdqv,
  VeventqAlloc: () => VeventqAlloc,
  VeventqFlags: () => VeventqFlags,
  VeventqType: () => VeventqType,
  VfioIoas: () => VfioIoas,
  VfioIoasOp: () => VfioIoasOp,
  ViommuAlloc: () => ViommuAlloc,
  ViommuArmSmmuV3Invalidate: () => ViommuArmSmmuV3Invalidate,
  ViommuTegra241Cmdqv: () => ViommuTegra241Cmdqv,
  ViommuType: () => ViommuType,
  VtdInvalidateFlags: () => VtdInvalidateFlags,
  iommufdCommands: () => iommufdCommands
});

// src/uapi/field.ts
var scalarSize = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8, pointer: 8 };
function scalar(type, print = "decimal") {
  return {
    scalar: type,
    count: void 0,
    direction: "in",
    print,
    names: {},
    forbids: "nothing",
    filler: false,
    checkedByHandler: false,
    sharesPlaceOf: void 0,
    calledInC: void 0
  };
}
var u8 = scalar("u8");
var u16 = scalar("u16");
var u32 = scalar("u32");
var s32 = scalar("s32");
var u64 = scalar("u64");
var address = scalar("u64", "hexadecimal");
var pointer = scalar("pointer", "hexadecimal");
function flags(names, base = u32) {
  return { ...base, names, print: "flags", forbids: "unknown bits" };
}
function oneOf(names, base = u32) {
  return { ...base, names, print: "enum" };
}
function mustBeZero(type) {
  return { ...type, print: "hexadecimal", forbids: "any bit", filler: true };
}
function padding(type) {
  return { ...type, print: "hexadecimal", filler: true };
}
function checkedByHandler(type) {
  return { ...type, checkedByHandler: true };
}
function out(type) {
  return { ...type, direction: "out", forbids: "nothing" };
}
function inout(type) {
  return { ...type, direction: "inout" };
}
function hexadecimal2(type) {
  return { ...type, print: "hexadecimal" };
}
function samePlaceAs(earlier, type) {
  return { ...type, sharesPlaceOf: earlier };
}
function calledInC(name, type) {
  return { ...type, calledInC: name };
}
function array2(type, count) {
  return { ...type, count };
}

// src/uapi/view.ts
function layOut(fields, start = 0) {
  const placed = [];
  let end = start;
  for (const [name, field2] of Object.entries(fields)) {
    const width = scalarSize[field2.scalar];
    const size = width * (field2.count ?? 1);
    const shared = placed.find((earlier) => earlier.name === field2.sharesPlaceOf);
    const offset = shared ? shared.offset : roundUp(end, width);
    end = Math.max(end, offset + size);
    placed.push({ ...field2, name, cName: field2.calledInC ?? cNameOf(name), offset, size });
  }
  return placed;
}
function sizeOf(fields) {
  return roundUp(endOf(fields), alignmentOf(fields));
}
function endOf(fields) {
  return Math.max(0, ...fields.map((field2) => field2.offset + field2.size));
}
function alignmentOf(fields) {
  return Math.max(1, ...fields.map((field2) => scalarSize[field2.scalar]));
}
function roundUp(value, multiple) {
  return Math.ceil(value / multiple) * multiple;
}
function bufferFor(size) {
  return new ArrayBuffer(roundUp(size, 8));
}
function makeView(fields, size, buffer) {
  class StructView {
    bytes = new Uint8Array(buffer, 0, size);
  }
  for (const field2 of fields) {
    const property = field2.count === void 0 ? valueAccessor(field2, buffer) : arrayAccessor(field2, buffer);
    Object.defineProperty(StructView.prototype, field2.name, { ...property, enumerable: true });
  }
  return new StructView();
}
function readField(view, field2) {
  return view[field2.name];
}
function writeField(view, field2, value) {
  view[field2.name] = value;
}
var typedArray = {
  u8: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
  s32: Int32Array,
  u64: BigUint64Array,
  pointer: BigUint64Array
};
function valueAccessor(field2, buffer) {
  if (field2.scalar === "pointer") return pointerAccessor(field2, buffer);
  const values = new typedArray[field2.scalar](buffer);
  const index = field2.offset / scalarSize[field2.scalar];
  return {
    get: () => values[index],
    set: (value) => {
      values[index] = value;
    }
  };
}
function pointerAccessor(field2, buffer) {
  const words = new Uint32Array(buffer);
  const low = field2.offset / 4;
  const high = low + 1;
  return {
    get: () => words[high] * 2 ** 32 + words[low],
    set: (value) => {
      words[low] = value % 2 ** 32;
      words[high] = value / 2 ** 32;
    }
  };
}
function arrayAccessor(field2, buffer) {
  const elements = new typedArray[field2.scalar](buffer, field2.offset, field2.count);
  return {
    get: () => elements,
    set: (values) => elements.set(values)
  };
}
function cNameOf(name) {
  const snakeCase = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return snakeCase.startsWith("reserved") ? `__${snakeCase}` : snakeCase;
}

// src/uapi/struct.ts
function struct(name, table, requiredThrough) {
  const fields = layOut(table);
  return describe(name, fields, sizeOf(fields), minimumOf(fields, requiredThrough));
}
function command(nr, name, table, requiredThrough) {
  const fields = layOut({ size: u32, ...table });
  const description = describe(`IOMMU_${name}`, fields, sizeOf(fields), minimumOf(fields, requiredThrough));
  return asCommand(description, nr, "EOPNOTSUPP");
}
function vfioCommand(nr, name, table, requiredThrough) {
  const fields = layOut({ argsz: inout(u32), ...table });
  const description = describe(`VFIO_${name}`, fields, sizeOf(fields), minimumOf(fields, requiredThrough));
  return asCommand(description, nr, "EINVAL");
}
function variantCommand(nr, name, ops, header2, variants, trailer) {
  const head = layOut({ size: u32, ...header2 });
  const start = roundUp(endOf(head), 8);
  const union = Object.entries(variants).map(([op, table]) => ({ op, fields: layOut(table, start) }));
  const members = union.flatMap((member) => member.fields);
  const tail2 = layOut(trailer, roundUp(endOf(members), alignmentOf(members)));
  const size = sizeOf([...head, ...members, ...tail2]);
  const buffer = bufferFor(size);
  const describePart = (fields) => describe(`IOMMU_${name}`, fields, size, endOf(tail2), buffer);
  const structs = new Map(union.map(({ op, fields }) => [op, describePart([...head, ...fields, ...tail2])]));
  const byNumber = new Map([...structs].map(([op, variant2]) => [ops[op], variant2]));
  return {
    ...asCommand(describePart([...head, ...tail2]), nr, "EOPNOTSUPP"),
    variants: Object.fromEntries(structs),
    variantOf: (op) => byNumber.get(op)
  };
}
function plainCommand(nr, name, argument) {
  return { name: `VFIO_${name}`, number: ioctlNumber(nr), argument };
}
function encode(description, values) {
  const view = description.newView();
  for (const field2 of description.fields) {
    const value = values[field2.name];
    if (value !== void 0) writeField(view, field2, value);
    else if (isSizeField(field2)) writeField(view, field2, description.size);
  }
  return view.bytes;
}
function decode(description, bytes) {
  const view = description.newView();
  view.bytes.set(bytes.subarray(0, description.size));
  const entries = description.fields.map((field2) => [field2.name, copyOf(readField(view, field2))]);
  return Object.fromEntries(entries);
}
function isSizeField(field2) {
  return field2.offset === 0 && (field2.name === "size" || field2.name === "argsz");
}
function ioctlNumber(nr) {
  return ";".charCodeAt(0) << 8 | nr;
}
function forbiddenBitsOf(field2) {
  if (field2.forbids === "any bit") return ~0;
  return ~Object.values(field2.names).reduce((known, bit2) => known | bit2, 0);
}
function copyOf(value) {
  return typeof value === "object" ? value.slice() : value;
}
function minimumOf(fields, requiredThrough) {
  const last = fields.findIndex((field2) => field2.name === requiredThrough);
  return endOf(last < 0 ? fields : fields.slice(0, last + 1));
}
function describe(name, fields, size, minimumSize, buffer = bufferFor(size)) {
  return {
    name,
    size,
    minimumSize,
    fields,
    view: makeView(fields, size, buffer),
    newView: () => makeView(fields, size, bufferFor(size))
  };
}
function asCommand(description, nr, refusal2) {
  return {
    ...description,
    number: ioctlNumber(nr),
    words: new Uint32Array(description.view.bytes.buffer),
    forbidden: forbiddenBits(description),
    refusal: refusal2
  };
}
function forbiddenBits(description) {
  const masks = description.newView();
  for (const field2 of description.fields) {
    if (field2.forbids === "nothing" || field2.checkedByHandler) continue;
    writeField(masks, field2, inTypeOf(field2, forbiddenBitsOf(field2)));
  }
  const words = new Int32Array(masks.bytes.buffer);
  return [...words.entries()].filter(([, mask]) => mask !== 0).map(([word, mask]) => ({ word, mask }));
}
function inTypeOf(field2, bits) {
  if (field2.count !== void 0) return new Array(field2.count).fill(bits);
  return field2.scalar === "u64" ? BigInt(bits) : bits;
}

// src/uapi/iommufd.ts
var noFlags = {};
var Destroy = command(128, "DESTROY", {
  id: u32
});
var IoasAlloc = command(129, "IOAS_ALLOC", {
  flags: flags(noFlags),
  outIoasId: out(u32)
});
var IovaRange = struct("iommu_iova_range", {
  start: address,
  last: address
});
var IoasAllowIovas = command(130, "IOAS_ALLOW_IOVAS", {
  ioasId: u32,
  numIovas: u32,
  reserved: mustBeZero(u32),
  allowedIovas: pointer
  // to numIovas IovaRange
});
var IoasMapFlags = { FIXED_IOVA: 1 << 0, WRITEABLE: 1 << 1, READABLE: 1 << 2 };
var IoasCopyFlags = { ...IoasMapFlags, ACCESS_SYZ: 1 << 16 };
var IoasCopy = command(131, "IOAS_COPY", {
  flags: flags(IoasCopyFlags),
  dstIoasId: u32,
  srcIoasId: u32,
  length: u64,
  dstIova: inout(address),
  // chosen by us unless FIXED_IOVA
  srcIova: address
});
var IoasIovaRanges = command(132, "IOAS_IOVA_RANGES", {
  ioasId: u32,
  numIovas: inout(u32),
  // room in the array, then the number of ranges that there are
  reserved: mustBeZero(u32),
  allowedIovas: pointer,
  // to numIovas IovaRange, which we write
  outIovaAlignment: out(u64)
});
var IoasMap = command(133, "IOAS_MAP", {
  flags: flags(IoasMapFlags),
  ioasId: u32,
  reserved: mustBeZero(u32),
  userVa: address,
  // exact, because its sum with length is checked for overflow
  length: u64,
  iova: inout(address)
  // chosen by us unless FIXED_IOVA
});
var IoasUnmap = command(134, "IOAS_UNMAP", {
  ioasId: u32,
  iova: address,
  length: inout(u64)
  // then how many bytes were unmapped
});
var OptionId = { RLIMIT_MODE: 0, HUGE_PAGES: 1 };
var OptionOp = { SET: 0, GET: 1 };
var Option = command(135, "OPTION", {
  optionId: oneOf(OptionId),
  op: oneOf(OptionOp, u16),
  reserved: mustBeZero(u16),
  objectId: u32,
  val64: inout(u64)
});
var VfioIoasOp = { GET: 0, SET: 1, CLEAR: 2 };
var VfioIoas = command(136, "VFIO_IOAS", {
  ioasId: inout(u32),
  op: oneOf(VfioIoasOp, u16),
  reserved: mustBeZero(u16)
});
var IoasMapFile = command(143, "IOAS_MAP_FILE", {
  flags: flags(IoasMapFlags),
  ioasId: u32,
  fd: s32,
  start: address,
  // byte in the file
  length: u64,
  iova: inout(address)
  // chosen by us unless FIXED_IOVA
});
var IoasChangeProcess = command(146, "IOAS_CHANGE_PROCESS", {
  reserved: mustBeZero(u32)
});
var IoasNoiommuGetPa = command(149, "IOAS_NOIOMMU_GET_PA", {
  flags: checkedByHandler(flags(noFlags)),
  // CAP_SYS_RAWIO comes first
  ioasId: u32,
  reserved: checkedByHandler(mustBeZero(u32)),
  iova: address,
  length: inout(u64),
  // then how many bytes are contiguous there
  outPhys: out(address)
});
var HwptAllocFlags = {
  NEST_PARENT: 1 << 0,
  DIRTY_TRACKING: 1 << 1,
  FAULT_ID_VALID: 1 << 2,
  PASID: 1 << 3
};
var HwptDataType = { NONE: 0, VTD_S1: 1, ARM_SMMUV3: 2, AMD_GUEST: 3, SELFTEST: 57005 };
var HwptAlloc = command(
  137,
  "HWPT_ALLOC",
  {
    flags: checkedByHandler(flags(HwptAllocFlags)),
    // which of them can be served depends on pt_id
    devId: u32,
    ptId: u32,
    outHwptId: out(u32),
    reserved: mustBeZero(u32),
    dataType: oneOf(HwptDataType),
    dataLen: u32,
    dataUptr: pointer,
    faultId: u32,
    reserved2: padding(u32)
    // Linux doesn't look at it
  },
  "reserved"
);
var HwptVtdS1Flags = { SRE: 1 << 0, EAFE: 1 << 1, WPE: 1 << 2 };
var HwptVtdS1 = struct("iommu_hwpt_vtd_s1", {
  flags: flags(HwptVtdS1Flags, u64),
  pgtblAddr: address,
  addrWidth: u32,
  reserved: mustBeZero(u32)
});
var HwptArmSmmuV3 = struct("iommu_hwpt_arm_smmuv3", {
  ste: hexadecimal2(array2(u64, 2))
});
var HwptAmdGuest = struct("iommu_hwpt_amd_guest", {
  dte: hexadecimal2(array2(u64, 4))
});
var HwptSetDirtyTrackingFlags = { ENABLE: 1 };
var HwptSetDirtyTracking = command(139, "HWPT_SET_DIRTY_TRACKING", {
  flags: flags(HwptSetDirtyTrackingFlags),
  hwptId: u32,
  reserved: padding(u32)
  // Linux doesn't look at it
});
var HwptGetDirtyBitmapFlags = { NO_CLEAR: 1 };
var HwptGetDirtyBitmap = command(140, "HWPT_GET_DIRTY_BITMAP", {
  hwptId: u32,
  flags: flags(HwptGetDirtyBitmapFlags),
  reserved: mustBeZero(u32),
  iova: address,
  length: u64,
  pageSize: u64,
  data: pointer
  // one bit for each page_size bytes
});
var InvalidateDataType = { VTD_S1: 0, ARM_SMMUV3: 1, SELFTEST: 3735928559 };
var HwptInvalidate = command(141, "HWPT_INVALIDATE", {
  hwptId: u32,
  dataUptr: pointer,
  // to entryNum entries of entryLen bytes
  dataType: oneOf(InvalidateDataType),
  entryLen: u32,
  entryNum: inout(u32),
  // then how many of them were done
  reserved: checkedByHandler(mustBeZero(u32))
  // even this error answers with entry_num = 0
});
var VtdInvalidateFlags = { LEAF: 1 << 0 };
var HwptVtdS1Invalidate = struct("iommu_hwpt_vtd_s1_invalidate", {
  addr: address,
  npages: u64,
  flags: flags(VtdInvalidateFlags),
  reserved: mustBeZero(u32)
});
var ViommuArmSmmuV3Invalidate = struct("iommu_viommu_arm_smmuv3_invalidate", {
  cmd: hexadecimal2(array2(u64, 2))
});
var HwInfoFlags = { INPUT_TYPE: 1 << 0 };
var HwInfoType = {
  NONE: 0,
  INTEL_VTD: 1,
  ARM_SMMUV3: 2,
  TEGRA241_CMDQV: 3,
  AMD: 4,
  SELFTEST: 4276993775
};
var HwCapabilities = {
  DIRTY_TRACKING: 1 << 0,
  PCI_PASID_EXEC: 1 << 1,
  PCI_PASID_PRIV: 1 << 2,
  PCI_ATS_NOT_SUPPORTED: 1 << 3
};
var GetHwInfo = command(
  138,
  "GET_HW_INFO",
  {
    flags: flags(HwInfoFlags),
    devId: u32,
    dataLen: inout(u32),
    // bytes at dataUptr, then bytes that there are
    dataUptr: pointer,
    inDataType: oneOf(HwInfoType),
    // counts only with INPUT_TYPE
    outDataType: samePlaceAs("inDataType", out(oneOf(HwInfoType))),
    outMaxPasidLog2: out(u8),
    reserved: mustBeZero(array2(u8, 3)),
    outCapabilities: out(flags(HwCapabilities, u64))
  },
  "reserved"
);
var HwInfoVtdFlags = { ERRATA_772415_SPR17: 1 << 0 };
var HwInfoVtd = struct("iommu_hw_info_vtd", {
  flags: flags(HwInfoVtdFlags),
  reserved: mustBeZero(u32),
  capReg: hexadecimal2(u64),
  ecapReg: hexadecimal2(u64)
});
var HwInfoArmSmmuV3Flags = { ERRATA_REPEAT_TLBI_CFGI: 1 << 0 };
var HwInfoArmSmmuV3 = struct("iommu_hw_info_arm_smmuv3", {
  flags: flags(HwInfoArmSmmuV3Flags),
  reserved: mustBeZero(u32),
  idr: hexadecimal2(array2(u32, 6)),
  iidr: hexadecimal2(u32),
  aidr: hexadecimal2(u32)
});
var HwInfoTegra241Cmdqv = struct("iommu_hw_info_tegra241_cmdqv", {
  flags: flags(noFlags),
  version: u8,
  log2vcmdqs: u8,
  log2vsids: u8,
  reserved: mustBeZero(u8)
});
var HwInfoAmd = struct("iommu_hw_info_amd", {
  efr: hexadecimal2(u64),
  efr2: hexadecimal2(u64)
});
var FaultQueueAlloc = command(142, "FAULT_QUEUE_ALLOC", {
  flags: flags(noFlags),
  outFaultId: out(u32),
  outFaultFd: out(u32)
});
var PgfaultFlags = { PASID_VALID: 1 << 0, LAST_PAGE: 1 << 1 };
var PgfaultPerm = { READ: 1 << 0, WRITE: 1 << 1, EXEC: 1 << 2, PRIV: 1 << 3 };
var HwptPgfault = struct("iommu_hwpt_pgfault", {
  flags: flags(PgfaultFlags),
  devId: u32,
  pasid: u32,
  grpid: u32,
  perm: flags(PgfaultPerm),
  reserved: mustBeZero(u32),
  addr: address,
  length: u32,
  cookie: u32
});
var PageResponseCode = { SUCCESS: 0, INVALID: 1 };
var HwptPageResponse = struct("iommu_hwpt_page_response", {
  cookie: u32,
  code: oneOf(PageResponseCode)
});
var ViommuType = { DEFAULT: 0, ARM_SMMUV3: 1, TEGRA241_CMDQV: 2, SELFTEST: 3735928559 };
var ViommuAlloc = command(
  144,
  "VIOMMU_ALLOC",
  {
    flags: flags(noFlags),
    type: oneOf(ViommuType),
    devId: u32,
    hwptId: u32,
    outViommuId: out(u32),
    dataLen: u32,
    reserved: padding(u32),
    // Linux doesn't look at it
    dataUptr: pointer
  },
  "outViommuId"
);
var ViommuTegra241Cmdqv = struct("iommu_viommu_tegra241_cmdqv", {
  outVintfMmapOffset: out(address),
  outVintfMmapLength: out(u64)
});
var VdeviceAlloc = command(145, "VDEVICE_ALLOC", {
  viommuId: u32,
  devId: u32,
  outVdeviceId: out(u32),
  virtId: hexadecimal2(u64)
});
var VeventqType = { DEFAULT: 0, ARM_SMMUV3: 1, TEGRA241_CMDQV: 2, SELFTEST: 3203383023 };
var VEVENTQ_MAX_DEPTH = 1 << 19;
var VeventqAlloc = command(
  147,
  "VEVENTQ_ALLOC",
  {
    flags: flags(noFlags),
    viommuId: u32,
    type: oneOf(VeventqType),
    veventqDepth: u32,
    outVeventqId: out(u32),
    outVeventqFd: out(u32),
    reserved: mustBeZero(u32)
  },
  "outVeventqFd"
);
var VeventqFlags = { LOST_EVENTS: 1 << 0 };
var VeventHeader = struct("iommufd_vevent_header", {
  flags: flags(VeventqFlags),
  sequence: u32
});
var VeventArmSmmuV3 = struct("iommu_vevent_arm_smmuv3", {
  evt: hexadecimal2(array2(u64, 4))
});
var VeventTegra241Cmdqv = struct("iommu_vevent_tegra241_cmdqv", {
  lvcmdqErrMap: hexadecimal2(array2(u64, 2))
});
var HwQueueType = { DEFAULT: 0, TEGRA241_CMDQV: 1, SELFTEST: 3735928559 };
var HwQueueAlloc = command(148, "HW_QUEUE_ALLOC", {
  flags: flags(noFlags),
  viommuId: u32,
  type: oneOf(HwQueueType),
  index: u32,
  outHwQueueId: out(u32),
  nestingParentIova: address,
  length: u64
});
var HWPT_INVALIDATE_ENTRY_NUM_MAX = 1 << 19;
var iommufdCommands = [
  Destroy,
  IoasAlloc,
  IoasAllowIovas,
  IoasCopy,
  IoasIovaRanges,
  IoasMap,
  IoasUnmap,
  Option,
  VfioIoas,
  HwptAlloc,
  GetHwInfo,
  HwptSetDirtyTracking,
  HwptGetDirtyBitmap,
  HwptInvalidate,
  FaultQueueAlloc,
  IoasMapFile,
  ViommuAlloc,
  VdeviceAlloc,
  IoasChangeProcess,
  VeventqAlloc,
  HwQueueAlloc,
  IoasNoiommuGetPa
];

// src/uapi/iommufd-test.ts
var TestOp = {
  ADD_RESERVED: 1,
  MOCK_DOMAIN: 2,
  MD_CHECK_MAP: 3,
  MD_CHECK_REFS: 4,
  CREATE_ACCESS: 5,
  DESTROY_ACCESS_PAGES: 6,
  ACCESS_PAGES: 7,
  ACCESS_RW: 8,
  SET_TEMP_MEMORY_LIMIT: 9,
  MOCK_DOMAIN_REPLACE: 10,
  ACCESS_REPLACE_IOAS: 11,
  MOCK_DOMAIN_FLAGS: 12,
  DIRTY: 13,
  MD_CHECK_IOTLB: 14,
  TRIGGER_IOPF: 15,
  DEV_CHECK_CACHE: 16,
  TRIGGER_VEVENT: 17,
  PASID_ATTACH: 18,
  PASID_REPLACE: 19,
  PASID_DETACH: 20,
  PASID_CHECK_HWPT: 21,
  DMABUF_GET: 22,
  DMABUF_REVOKE: 23
};
var MockDeviceFlags = { NO_DIRTY: 1 << 0, PASID: 1 << 2 };
var CreateAccessFlags = { NEEDS_PIN_PAGES: 1 << 0 };
var AccessPagesFlags = { WRITE: 1 << 0, SYZ: 1 << 16 };
var AccessRwFlags = { WRITE: 1 << 0, SLOW_PATH: 1 << 2, SYZ: 1 << 16 };
var TestCommand = variantCommand(
  160,
  "TEST_CMD",
  TestOp,
  {
    op: oneOf(TestOp),
    id: u32,
    reserved: padding(u32)
  },
  {
    ADD_RESERVED: { start: address, length: u64 },
    MOCK_DOMAIN: { outStdevId: out(u32), outHwptId: out(u32), outIdevId: out(u32) },
    MD_CHECK_MAP: { iova: address, length: u64, uptr: address },
    // exact, because its alignment is checked
    MD_CHECK_REFS: { length: u64, uptr: address, refs: u32 },
    CREATE_ACCESS: { outAccessFd: out(u32), flags: checkedByHandler(flags(CreateAccessFlags)) },
    DESTROY_ACCESS_PAGES: { accessPagesId: u32 },
    ACCESS_PAGES: {
      flags: checkedByHandler(flags(AccessPagesFlags)),
      outAccessPagesId: out(u32),
      iova: address,
      length: u64,
      uptr: pointer
    },
    ACCESS_RW: { iova: address, length: u64, uptr: pointer, flags: checkedByHandler(flags(AccessRwFlags)) },
    SET_TEMP_MEMORY_LIMIT: { limit: u32 },
    // bytes
    MOCK_DOMAIN_REPLACE: { ptId: inout(u32) },
    ACCESS_REPLACE_IOAS: { ioasId: u32 },
    MOCK_DOMAIN_FLAGS: {
      outStdevId: out(u32),
      outHwptId: out(u32),
      outIdevId: out(u32),
      devFlags: checkedByHandler(flags(MockDeviceFlags))
    },
    DIRTY: {
      flags: padding(u32),
      // Linux doesn't look at it
      iova: address,
      length: u64,
      pageSize: u64,
      uptr: pointer,
      outNrDirty: out(u64)
    },
    MD_CHECK_IOTLB: { iotlbId: calledInC("check_iotlb.id", u32), iotlb: u32 },
    TRIGGER_IOPF: {
      devId: u32,
      pasid: u32,
      grpid: u32,
      perm: checkedByHandler(flags(PgfaultPerm)),
      addr: address
    },
    DEV_CHECK_CACHE: { cacheId: calledInC("check_dev_cache.id", u32), cache: u32 },
    TRIGGER_VEVENT: { devId: u32 },
    PASID_ATTACH: { pasid: u32, ptId: inout(u32) },
    PASID_REPLACE: { pasid: u32, ptId: inout(u32) },
    PASID_DETACH: { pasid: u32 },
    PASID_CHECK_HWPT: { pasid: u32, hwptId: u32 },
    DMABUF_GET: { length: u32, openFlags: u32 },
    DMABUF_REVOKE: { dmabufFd: s32, revoked: u32 }
  },
  { last: padding(u32) }
);
var testVariants = TestCommand.variants;
var MockPageTable = { DEFAULT: 0, HUGE: 1 };
var MOCK_APERTURE_START = 2n ** 24n;
var MOCK_APERTURE_LAST = 2n ** 31n - 1n;
var MOCK_PAGE_SIZE = 2048;
var MOCK_HUGE_PAGE_SIZE = 512 * MOCK_PAGE_SIZE;
var MOCK_NESTED_DOMAIN_IOTLB_ID_MAX = 3;
var MOCK_NESTED_DOMAIN_IOTLB_NUM = 4;
var MOCK_DEV_CACHE_ID_MAX = 3;
var MOCK_DEV_CACHE_NUM = 4;
var MOCK_PASID_WIDTH = 20;
var IOMMU_TEST_PASID_RESERVED = 1024;
var IOMMU_TEST_DEV_CACHE_DEFAULT = 12246445;
var IOMMU_TEST_HW_QUEUE_MAX = 2;
var IOMMU_HW_INFO_SELFTEST_REGVAL = 3735928559;
var TestHwInfo = struct("iommu_test_hw_info", {
  flags: flags({}),
  testReg: u32
});
var HwptSelftest = struct(
  "iommu_hwpt_selftest",
  {
    iotlb: u32,
    pagetableType: oneOf(MockPageTable)
    // came later
  },
  "iotlb"
);
var TestInvalidateFlags = { ALL: 1 << 0 };
var HwptInvalidateSelftest = struct("iommu_hwpt_invalidate_selftest", {
  flags: flags(TestInvalidateFlags),
  iotlbId: u32
});
var ViommuInvalidateSelftest = struct("iommu_viommu_invalidate_selftest", {
  flags: flags(TestInvalidateFlags),
  vdevId: u32,
  cacheId: u32
});
var ViommuSelftest = struct(
  "iommu_viommu_selftest",
  {
    inData: u32,
    outData: out(u32),
    outMmapOffset: out(address),
    // came later
    outMmapLength: out(u64)
  },
  "outData"
);
var ViommuEventSelftest = struct("iommu_viommu_event_selftest", {
  virtId: u32
});

// src/iommu/domain.ts
var NO_PASID = 0;
var Domain = class {
  /** Whose domain it is: a device of another driver can't be attached. */
  driver;
  /** Who takes page faults of this domain. A driver looks only at whether there is one: then devices may fault. */
  faultHandler;
  constructor(driver) {
    this.driver = driver;
  }
};
var PagingDomain = class extends Domain {
  type = "paging";
  /** Page sizes in bytes as a bitmap; 4096 or something smaller is among them. */
  pageSizes = 4096n;
  /** The IOVAs that it translates, in bytes, both ends included. */
  aperture = { first: 0n, last: (1n << 64n) - 1n };
  /** Present where the domain was made to track what devices write. */
  dirtyTracking;
  #table;
  /** @param table undefined where the driver finishes its domains only when they are attached: see finish() */
  constructor(driver, table) {
    super(driver);
    if (table !== void 0) this.finish(table);
  }
  /** @throws ENODEV while the domain is not finished */
  get table() {
    if (this.#table === void 0)
      throw new Errno(
        "ENODEV",
        `${this.driver.name} finishes a domain when it is first attached: nothing can be mapped before that`
      );
    return this.#table;
  }
  /** Whether it has its page table. */
  get isFinished() {
    return this.#table !== void 0;
  }
  /** Gives the domain its page table, and what follows from it. */
  finish(table) {
    this.#table = table;
    this.pageSizes = table.pageSizes;
    this.aperture = { first: table.firstAddress, last: table.lastAddress };
  }
  /** Maps frames as PageTable.map does; a driver may have to refuse some, or want more in every entry. */
  map(va, pa, count, protection, allowedSizes) {
    this.table.map(va, pa, count, protection, allowedSizes);
  }
  free() {
    this.#table?.free();
  }
};
var NestedDomain = class extends Domain {
  type = "nested";
  /** Told which addresses of the first stage were invalidated; whoever keeps translations of it sets this. */
  flushed;
};

// src/iommu/group.ts
var Group = class {
  id;
  devices = [];
  /** What the group's devices translate through now. */
  #domain;
  #attachments = /* @__PURE__ */ new Map();
  #owner;
  #claims = 0;
  constructor(id) {
    this.id = id;
  }
  /** What is attached for a PASID. */
  attachment(pasid) {
    return this.#attachments.get(pasid);
  }
  /**
   * Takes the group's DMA over for one owner; may be called again by the same one.
   * From then on its devices can't do DMA until something is attached.
   * @throws EPERM when another owner has it
   */
  claim(owner) {
    if (this.#claims > 0 && this.#owner !== owner)
      throw new Errno("EPERM", `group ${this.id} belongs to another iommufd context`);
    if (this.#claims === 0) this.#setDomain(this.#blockedDomain);
    this.#owner = owner;
    this.#claims++;
  }
  /** Undoes one claim. */
  release() {
    this.#claims--;
    if (this.#claims === 0) this.#owner = void 0;
  }
  /**
   * Attaches a domain for requests without PASID.
   * @throws EBUSY when something is attached, EINVAL for a domain of another driver, and what the driver's attach throws
   */
  attach(domain, handle) {
    if (this.#attachments.has(NO_PASID)) throw new Errno("EBUSY", `group ${this.id} is attached to a domain already`);
    this.#checkDriver(domain);
    this.#setDomain(domain);
    this.#attachments.set(NO_PASID, { domain, handle });
  }
  /** Attaches another domain instead; on error the old one stays. */
  replace(domain, handle) {
    this.#setDomain(domain);
    this.#attachments.set(NO_PASID, { domain, handle });
  }
  /** Detaches what attach() or replace() attached: back to no DMA. */
  detach() {
    this.#setDomain(this.#blockedDomain);
    this.#attachments.delete(NO_PASID);
  }
  /**
   * Attaches a domain for requests with a PASID.
   * @throws EOPNOTSUPP where the driver has no PASIDs, EINVAL for a PASID that a device can't use, EBUSY when it is in use
   */
  attachPasid(domain, pasid, handle) {
    const driver = this.devices[0].driver;
    if (!domain.setDevicePasid || !driver.blockedDomain.setDevicePasid)
      throw new Errno("EOPNOTSUPP", `${driver.name} can't attach a PASID`);
    this.#checkDriver(domain);
    if (pasid === NO_PASID) throw new Errno("EINVAL", "PASID 0 is the device itself");
    for (const device of this.devices)
      if (device.maxPasids > 0 && pasid >= device.maxPasids)
        throw new Errno("EINVAL", `PASID ${pasid} is beyond the last PASID of ${device.name}, ${device.maxPasids - 1}`);
    if (this.#attachments.has(pasid))
      throw new Errno("EBUSY", `PASID ${pasid} of group ${this.id} is attached already`);
    this.#setPasid(domain, pasid, void 0);
    this.#attachments.set(pasid, { domain, handle });
  }
  /** @throws EINVAL when nothing is attached for the PASID; on error the old domain stays */
  replacePasid(domain, pasid, handle) {
    if (!domain.setDevicePasid) throw new Errno("EOPNOTSUPP", `${domain.driver.name} can't attach a PASID`);
    this.#checkDriver(domain);
    const current = this.#attachments.get(pasid);
    if (pasid === NO_PASID || current === void 0)
      throw new Errno("EINVAL", `PASID ${pasid} of group ${this.id} is not attached`);
    if (current.domain !== domain) this.#setPasid(domain, pasid, current.domain);
    this.#attachments.set(pasid, { domain, handle });
  }
  detachPasid(pasid) {
    const current = this.#attachments.get(pasid);
    if (current === void 0) return;
    for (const device of this.devices)
      if (device.maxPasids > 0) this.#blockedDomain.setDevicePasid?.(device, pasid, current.domain);
    this.#attachments.delete(pasid);
  }
  get #blockedDomain() {
    return this.devices[0].driver.blockedDomain;
  }
  #checkDriver(domain) {
    const driver = this.devices[0].driver;
    if (domain.driver !== driver)
      throw new Errno("EINVAL", `a domain of ${domain.driver.name} doesn't fit a device behind ${driver.name}`);
  }
  /** Switches every device, or none: a device that refuses takes those before it back. */
  #setDomain(domain) {
    if (this.#domain === domain) return;
    const old = this.#domain ?? this.#blockedDomain;
    this.#switchAll(
      this.devices,
      (device) => domain.attachDevice(device, old),
      (device) => old.attachDevice(device, domain)
    );
    this.#domain = domain;
  }
  #setPasid(domain, pasid, old) {
    const before = old ?? this.#blockedDomain;
    this.#switchAll(
      this.devices.filter((device) => device.maxPasids > 0),
      (device) => domain.setDevicePasid?.(device, pasid, old),
      (device) => before.setDevicePasid?.(device, pasid, domain)
    );
  }
  #switchAll(devices2, change, undo) {
    for (let i = 0; i < devices2.length; i++) {
      try {
        change(devices2[i]);
      } catch (error) {
        for (let done = 0; done < i; done++) undo(devices2[done]);
        throw error;
      }
    }
  }
};

// src/memory/address-space.ts
var PAGE_SIZE = 4096;
var PAGE_SHIFT = 12;
var Extents = class {
  backing = [];
  /** First page of the stretch in its backing. */
  page = [];
  /** Length in pages. */
  count = [];
  /** Appends a stretch; one that continues the last stretch makes it longer instead. */
  add(backing, page, count) {
    const last = this.count.length - 1;
    if (last >= 0 && this.backing[last] === backing && this.page[last] + this.count[last] === page) {
      this.count[last] += count;
      return;
    }
    this.backing.push(backing);
    this.page.push(page);
    this.count.push(count);
  }
  clear() {
    this.backing.length = 0;
    this.page.length = 0;
    this.count.length = 0;
  }
};
function copyIn(space, address2, into, what) {
  if (into.length > 0 && space.read(address2, into) !== into.length)
    throw new Errno("EFAULT", `${what} at ${hex(address2)} (${into.length} bytes) can't be read`);
}
function copyOut(space, address2, from, what) {
  if (from.length > 0 && space.write(address2, from) !== from.length)
    throw new Errno("EFAULT", `${what} at ${hex(address2)} (${from.length} bytes) can't be written`);
}
var zeroes = new Uint8Array(64 * 1024);
function clearOut(space, address2, length, what) {
  for (let done = 0; done < length; done += zeroes.length)
    copyOut(space, address2 + done, zeroes.subarray(0, Math.min(zeroes.length, length - done)), what);
}

// src/iommu/user-data.ts
function readUserData(data, type, struct2) {
  if (data.type !== type)
    throw new Errno("EINVAL", `the data's type is ${hex(data.type)}: here it must be ${hex(type)}, ${struct2.name}`);
  const { minimumSize: minimum } = struct2;
  if (data.length < minimum || data.length > struct2.size)
    throw new Errno(
      "EINVAL",
      `the data's length is ${data.length}: ${struct2.name} has ${minimum === struct2.size ? "" : `${minimum} to `}${struct2.size} bytes`
    );
  const view = struct2.newView();
  copyIn(data.memory, data.address, view.bytes.subarray(0, data.length), struct2.name);
  return view;
}
function writeUserData(data, view, struct2) {
  copyOut(data.memory, data.address, view.bytes.subarray(0, data.length), struct2.name);
}
function readUserDataEntry(array3, index, type, struct2) {
  const entry = {
    type: array3.type,
    address: array3.address + index * array3.entryLength,
    length: array3.entryLength,
    memory: array3.memory
  };
  return readUserData(entry, type, struct2);
}
function carryOutUserData(array3, type, struct2, carryOut) {
  if (array3.type !== type)
    throw new Errno("EINVAL", `the data's type is ${hex(array3.type)}: here it must be ${hex(type)}, ${struct2.name}`);
  if (array3.entries === 0) throw new Errno("EINVAL", "the array has no entry");
  const { size } = struct2;
  const entries = new Uint8Array(array3.entries * size);
  const entry = new Uint8Array(array3.entryLength);
  for (let index = 0; index < array3.entries; index++) {
    copyIn(array3.memory, array3.address + index * array3.entryLength, entry, `entry ${index}`);
    if (entry.subarray(size).some((byte) => byte !== 0))
      throw new Errno("E2BIG", `entry ${index} has something after the ${size} bytes of ${struct2.name}`);
    entries.set(entry.subarray(0, size), index * size);
  }
  const view = struct2.newView();
  for (; array3.done < array3.entries; array3.done++) {
    view.bytes.set(entries.subarray(array3.done * size, (array3.done + 1) * size));
    carryOut(view, array3.done);
  }
}

// src/iommu/device.ts
var Device = class {
  name;
  driver;
  group;
  /** How many PASIDs it can use; 0 where it has none. A power of two. */
  maxPasids;
  /** The IOMMU in front of it. What is made for one IOMMU may not fit another one of the same driver. */
  iommu;
  /** Page requests whose group isn't complete yet; undefined as long as the device may not fault. fault.ts keeps it. */
  unfinishedFaults;
  constructor(name, driver, group, maxPasids = 0, iommu = driver) {
    this.name = name;
    this.driver = driver;
    this.group = group;
    this.maxPasids = maxPasids;
    this.iommu = iommu;
    group.devices.push(this);
  }
};

// src/iommu/fault.ts
var FaultGroup = class {
  device;
  /** In the order in which they came. The last one, and no other, has LAST_PAGE. */
  requests;
  /** What the device was attached to when it asked. */
  attachment;
  constructor(device, requests, attachment) {
    this.device = device;
    this.requests = requests;
    this.attachment = attachment;
  }
  /**
   * Answers, once.
   * @param code PageResponseCode
   */
  respond(code) {
    this.device.driver.pageResponse?.(this.device, this.requests.at(-1), code);
  }
};
function enableFaults(device) {
  if (!device.driver.pageResponse)
    throw new Errno("ENODEV", `${device.name} can't fault: ${device.driver.name} has no way to answer a page request`);
  if (device.unfinishedFaults !== void 0) throw new Errno("EBUSY", `faults of ${device.name} are enabled already`);
  device.unfinishedFaults = [];
}
function disableFaults(device) {
  device.unfinishedFaults = void 0;
}
function reportPageRequest(device, request) {
  const attachment = attachmentInCharge(device, request);
  const unfinished = device.unfinishedFaults;
  const handler = attachment?.domain.faultHandler;
  if (attachment === void 0 || handler === void 0 || unfinished === void 0) {
    device.driver.pageResponse?.(device, request, PageResponseCode.INVALID);
    throw new Errno("EINVAL", `${device.name} is attached to nothing that takes page faults`);
  }
  if (!(request.flags & PgfaultFlags.LAST_PAGE)) {
    unfinished.push(request);
    return;
  }
  const earlier = unfinished.filter((other) => other.group === request.group);
  device.unfinishedFaults = unfinished.filter((other) => other.group !== request.group);
  handler(new FaultGroup(device, [...earlier, request], attachment));
}
function attachmentInCharge(device, { flags: flags2, pasid }) {
  const { group, driver } = device;
  const ofDevice = group.attachment(NO_PASID);
  if (!(flags2 & PgfaultFlags.PASID_VALID)) return ofDevice;
  const ofPasid = group.attachment(pasid);
  if (ofPasid !== void 0 || !driver.userPasidTable) return ofPasid;
  return ofDevice?.domain.type === "nested" ? ofDevice : void 0;
}

// src/iommu/drivers/selftest-device.ts
var MockDevice = class extends Device {
  /** MockDeviceFlags */
  flags;
  number;
  /** A stand-in for a device TLB: values that an invalidation sets to 0. */
  cache = new Uint32Array(MOCK_DEV_CACHE_NUM).fill(IOMMU_TEST_DEV_CACHE_DEFAULT);
  /** Set by one attach of the reserved PASID, so that the next one fails: see attachPasid(). */
  reservedPasidWillFail = false;
  /** The vIOMMU whose nested domain it is attached to, and its number there: who is told of its events. */
  viommu;
  virtualId = 0n;
  /** How many of its attachments take page faults. */
  #faultingDomains = 0;
  constructor(driver, group, number2, flags2) {
    super(`iommufd_mock${number2}`, driver, group, flags2 & MockDeviceFlags.PASID ? 2 ** MOCK_PASID_WIDTH : 0);
    this.flags = flags2;
    this.number = number2;
  }
  get tracksDirty() {
    return (this.flags & MockDeviceFlags.NO_DIRTY) === 0;
  }
  /** Lets the device fault while something is attached that takes its faults. */
  moveFaults(to, from) {
    if (to.faultHandler !== void 0) {
      if (this.#faultingDomains === 0) enableFaults(this);
      this.#faultingDomains++;
    }
    if (from?.faultHandler !== void 0) {
      this.#faultingDomains--;
      if (this.#faultingDomains === 0) disableFaults(this);
    }
  }
};

// src/pagetable/bits.ts
var WORD = 2 ** 32;
var powersOfTwo = Float64Array.from({ length: 65 }, (_, n) => 2 ** n);
function powerOfTwo2(n) {
  return powersOfTwo[n];
}
function lowWord(value) {
  return value | 0;
}
function highWord(value) {
  return value / WORD | 0;
}
function trailingZeros(value) {
  const low = lowWord(value);
  if (low !== 0) return 31 - Math.clz32(low & -low);
  const high = highWord(value);
  return high === 0 ? 64 : 63 - Math.clz32(high & -high);
}
function floorLg2(value) {
  const high = highWord(value);
  return high === 0 ? 31 - Math.clz32(value) : 63 - Math.clz32(high);
}
function isAligned(value, lg2) {
  const quotient = value / powersOfTwo[lg2];
  return quotient === Math.floor(quotient);
}
function alignDown(value, lg2) {
  const unit = powersOfTwo[lg2];
  return Math.floor(value / unit) * unit;
}

// src/pagetable/format.ts
var READ = 1;
var WRITE = 2;
var CACHE = 4;
var FORCE_COHERENCE = 256;
function storeEntries(words, index, entries, items, low, high, step) {
  if (items === 1 && step < CARRY) {
    storeSmallSteps(words, 2 * index, entries, low, high, step);
    return;
  }
  const stepLow = lowWord(step);
  const stepHigh = highWord(step);
  let at = 2 * index;
  for (let entry = 0; entry < entries; entry++) {
    for (let item = 0; item < items; item++, at += 2) {
      words[at] = low;
      words[at + 1] = high;
    }
    low = low + stepLow | 0;
    high = high + stepHigh | 0;
    if (low >>> 0 < stepLow >>> 0) high = high + 1 | 0;
  }
}
function storePages(words, index, pages, size, frame, addressShift, lowBits, highBits) {
  const low = lowWord(frame) << addressShift | lowBits;
  const high = highWord(frame * powerOfTwo2(addressShift)) | highBits;
  storeEntries(words, index, pages, 1, low, high, powerOfTwo2(size + addressShift));
}
function frameIn(low, high, addressShift, highMask) {
  return ((high & highMask) >>> 0) * powerOfTwo2(32 - addressShift) + (low >>> addressShift);
}
var CARRY = 2 ** 32;
function storeSmallSteps(words, from, entries, low, high, step) {
  const one = lowWord(step);
  const two = one + one | 0;
  let at = from;
  for (let left = entries; left > 0; high = high + 1 | 0) {
    const beforeCarry = Math.min(left, Math.ceil((CARRY - (low >>> 0)) / step));
    left -= beforeCarry;
    const end = at + 2 * beforeCarry;
    for (; at + 2 < end; at += 4) {
      words[at] = low;
      words[at + 1] = high;
      words[at + 2] = low + one | 0;
      words[at + 3] = high;
      low = low + two | 0;
    }
    if (at < end) {
      words[at] = low;
      words[at + 1] = high;
      low = low + one | 0;
      at += 2;
    }
  }
}
function bitNames(word, names) {
  return names.filter(([mask]) => (word & mask) === mask).map(([, name]) => name);
}

// src/pagetable/formats/amdv1.ts
var PR = 1 << 0;
var A = 1 << 5;
var D = 1 << 6;
var NextLevel_SHIFT = 9;
var NextLevel = 7 << NextLevel_SHIFT;
var ADDRESS_SHIFT = 12;
var ADDRESS_UNIT = 2 ** ADDRESS_SHIFT;
var FC = 1 << 60 - 32;
var IR = 1 << 61 - 32;
var IW = 1 << 62 - 32;
var ADDRESS_HIGH = 1048575;
var ADDRESS_HIGH_UNIT = 2 ** (32 - ADDRESS_SHIFT);
var PAGE = 0;
var SIZED_PAGE = 7;
var SIZE_512G = 1n << 39n;
var BITS_PER_LEVEL = 9;
function leafSizes(itemLg2) {
  const last = Math.min(51, itemLg2 + BITS_PER_LEVEL - 1);
  const below = (lg2) => (1n << BigInt(lg2)) - 1n;
  return below(last + 1) & ~below(itemLg2) & ~SIZE_512G;
}
function level(number2, granuleLg2, indexBits, mayHoldLeaves) {
  const itemLg2 = granuleLg2 + BITS_PER_LEVEL * number2;
  const leaves2 = {
    entryName: `level ${number2 + 1} PTE`,
    itemLg2,
    indexBits,
    leafSizes: mayHoldLeaves ? leafSizes(itemLg2) : 0n,
    empty: { mask: PR, value: 0 }
  };
  if (number2 === 0) return leaves2;
  const nextLevel = number2 << NextLevel_SHIFT;
  return { ...leaves2, table: { mask: PR | NextLevel, value: PR | nextLevel }, tableBits: [PR | nextLevel, IR | IW] };
}
var AmdV1 = class {
  name;
  granuleLg2;
  levels;
  lowestTopLevel = 1;
  maxVaBits;
  maxPaBits;
  tableAddressShift;
  contiguous = { low: NextLevel, high: 0 };
  dirty = { mask: D, dirty: D, clean: 0, trackedIfHigh: 0 };
  accessed = A;
  narrowsToTop = true;
  concatenatedTopsLg2 = 0;
  alreadyMapped = "EADDRINUSE";
  outOfRange = "ERANGE";
  constructor(name, granuleLg2, levels, maxVaBits, maxPaBits) {
    this.name = name;
    this.granuleLg2 = granuleLg2;
    this.levels = levels;
    this.maxVaBits = maxVaBits;
    this.maxPaBits = maxPaBits;
    this.tableAddressShift = ADDRESS_SHIFT + 12 - granuleLg2;
  }
  checkProtection() {
  }
  storeLeaves(words, index, leaves2, level3, size, frame, protection) {
    let high = 0;
    if (protection & FORCE_COHERENCE) high |= FC;
    if (protection & READ) high |= IR;
    if (protection & WRITE) high |= IW;
    const itemsLg2 = size - BITS_PER_LEVEL * level3;
    const nextLevel = itemsLg2 === 0 ? PAGE : SIZED_PAGE;
    const address2 = itemsLg2 === 0 ? frame : frame + (powerOfTwo2(size - 1) - 1);
    const low = lowWord(address2) << ADDRESS_SHIFT | nextLevel << NextLevel_SHIFT | PR;
    high |= highWord(address2 * ADDRESS_UNIT);
    storeEntries(words, index, leaves2, 1 << itemsLg2, low, high, powerOfTwo2(size + ADDRESS_SHIFT));
  }
  leafFrame(level3, low, high) {
    const address2 = addressField(low, high);
    if ((low & NextLevel) !== NextLevel) return address2;
    return alignDown(address2, this.leafSize(level3, low, high));
  }
  leafSize(level3, low, high) {
    if ((low & NextLevel) !== NextLevel) return BITS_PER_LEVEL * level3;
    return trailingOnes(low >>> ADDRESS_SHIFT, high & ADDRESS_HIGH) + 1;
  }
  leafProtection(_level, _low, high) {
    return (high & IR ? READ : 0) | (high & IW ? WRITE : 0);
  }
  describe(_level, low, high) {
    return [
      ...bitNames(low, [
        [PR, "PR"],
        [A, "A"],
        [D, "D"]
      ]),
      `NextLevel=${(low & NextLevel) >>> NextLevel_SHIFT}`,
      ...bitNames(high, [
        [FC, "FC"],
        [IR, "IR"],
        [IW, "IW"]
      ])
    ].join(" ");
  }
};
function addressField(low, high) {
  return (high & ADDRESS_HIGH) * ADDRESS_HIGH_UNIT + (low >>> ADDRESS_SHIFT);
}
function trailingOnes(low20, high20) {
  const zeros = ~low20 & 1048575;
  if (zeros !== 0) return 31 - Math.clz32(zeros & -zeros);
  return 20 + (31 - Math.clz32(~high20 & high20 + 1));
}
var amdv1 = new AmdV1(
  "AMDv1",
  12,
  [0, 1, 2, 3, 4, 5].map((n) => level(n, 12, n === 5 ? 7 : BITS_PER_LEVEL, n !== 5)),
  64,
  52
);
var amdv1Mock = new AmdV1(
  "AMDv1 mock",
  11,
  [0, 1, 2, 3, 4].map((n) => level(n, 11, BITS_PER_LEVEL, n !== 4)),
  56,
  51
);

// src/pagetable/dirty.ts
function readDirty(tree, va, count, clear, report) {
  const bits = tree.format.dirty;
  if (bits === void 0)
    throw new Errno("EOPNOTSUPP", `Linux has no dirty tracking with page tables of the format ${tree.format.name}`);
  const last = va + count - 1;
  tree.checkLength(va, count);
  if (!tree.inRange(va, last)) throw tree.outOfRange(va, last);
  const scan = new DirtyScan(tree, bits, va, last, clear, report);
  scan.table(tree.topWords, tree.topLevel, tree.topVa(va), true, true);
  scan.flush();
}
function setDirty(tree, va) {
  const bits = tree.format.dirty;
  if (bits === void 0 || !tree.find(va)) return false;
  if ((tree.leafHigh & bits.trackedIfHigh) !== bits.trackedIfHigh) return false;
  tree.memory.tableAt(tree.leafTable)[2 * tree.leafIndex] = tree.leafLow & ~bits.mask | bits.dirty;
  return true;
}
function setAccessed(tree, va) {
  const { accessed } = tree.format;
  if (accessed === 0 || !tree.find(va)) return false;
  tree.memory.tableAt(tree.leafTable)[2 * tree.leafIndex] = tree.leafLow | accessed;
  return true;
}
var DirtyScan = class {
  #tree;
  #bits;
  #va;
  #last;
  #clear;
  #report;
  /** The stretch that is being gathered. */
  #first = 0;
  #end = 0;
  constructor(tree, bits, va, last, clear, report) {
    this.#tree = tree;
    this.#bits = bits;
    this.#va = va;
    this.#last = last;
    this.#clear = clear;
    this.#report = report;
  }
  /**
   * @param tableVa the first address that the table translates
   * @param atStart the range starts in this table, rather than before it
   * @param atEnd the range ends in this table
   */
  table(words, level3, tableVa, atStart, atEnd) {
    const tree = this.#tree;
    const { items, itemFrames } = tree.levels[level3];
    const from = atStart ? tree.indexOf(this.#va, level3) : 0;
    const to = atEnd ? tree.indexOf(this.#last, level3) : items - 1;
    if (level3 === 0) {
      this.#leaves(words, from, to, level3, tableVa);
      return;
    }
    for (let index = from; index <= to; index++) {
      if (tree.isTable(words, index, level3)) {
        const startsHere = atStart && index === from;
        const endsHere = atEnd && index === to;
        this.table(tree.tableBelow(words, index), level3 - 1, tableVa + index * itemFrames, startsHere, endsHere);
      } else if (!tree.isEmpty(words, index, level3)) {
        index = this.#leaves(words, index, index, level3, tableVa);
      }
    }
  }
  flush() {
    if (this.#end > this.#first) this.#report(this.#first, this.#end - this.#first);
    this.#end = this.#first;
  }
  /** Items that are leaves or empty. Returns the last item of the leaf that item `last` belongs to. */
  #leaves(words, first, last, level3, tableVa) {
    const { mask, dirty: dirty2, clean, trackedIfHigh } = this.#bits;
    const { itemFrames } = this.#tree.levels[level3];
    let index = first & -this.#itemsOfLeaf(words, first, level3);
    const end = (last | this.#itemsOfLeaf(words, last, level3) - 1) + 1;
    while (index < end) {
      for (let at = 2 * index; index + 4 <= end; index += 4, at += 8) {
        const differences = (words[at] ^ dirty2) & (words[at + 2] ^ dirty2) & (words[at + 4] ^ dirty2) & (words[at + 6] ^ dirty2);
        if ((differences & mask) === 0) break;
      }
      if (index === end) break;
      const low = words[2 * index];
      const high = words[2 * index + 1];
      let after = index + 1;
      if ((low & mask) === dirty2 && (high & trackedIfHigh) === trackedIfHigh) {
        let start = index;
        if (this.#tree.isContiguous(low, high)) {
          const items = this.#itemsOfLeaf(words, index, level3);
          start = index & -items;
          after = start + items;
        }
        if (this.#clear) for (let at = 2 * start; at < 2 * after; at += 2) words[at] = words[at] & ~mask | clean;
        this.#gather(tableVa + start * itemFrames, tableVa + after * itemFrames);
      }
      index = after;
    }
    return end - 1;
  }
  #itemsOfLeaf(words, index, level3) {
    const size = this.#tree.leafSize(level3, words[2 * index], words[2 * index + 1]);
    return 1 << size - this.#tree.levels[level3].itemSize;
  }
  #gather(first, end) {
    if (first !== this.#end) {
      this.flush();
      this.#first = first;
    }
    this.#end = end;
  }
};

// src/pagetable/table-memory.ts
var TABLE_FRAME_LG2 = 12;
var DEFAULT_BASE_FRAME = 1 << 32 - TABLE_FRAME_LG2;
var LAST_FRAME = (1 << 39 - TABLE_FRAME_LG2) - 1;
var NO_TABLE = new Uint32Array(0);
var SPARE_TABLES = 4096;
var TableMemory = class {
  baseFrame;
  #mayAllocate;
  /** By frame from baseFrame on. A table larger than a frame stands at its first. */
  #tables = [];
  /** By lg2 of the size in bytes: frames whose table was freed. */
  #free = [];
  #spare = 0;
  #tablesInUse = 0;
  #bytesInUse = 0;
  constructor(options = {}) {
    this.baseFrame = options.baseFrame ?? DEFAULT_BASE_FRAME;
    this.#mayAllocate = options.mayAllocate ?? (() => true);
  }
  get tablesInUse() {
    return this.#tablesInUse;
  }
  get bytesInUse() {
    return this.#bytesInUse;
  }
  /**
   * A zeroed table of 2^bytesLg2 bytes, aligned to its size.
   * @returns its frame
   * @throws ENOMEM
   */
  allocate(bytesLg2) {
    if (!this.#mayAllocate()) throw new Errno("ENOMEM", `no memory for a page table of ${1 << bytesLg2} bytes`);
    const frame = this.#free[bytesLg2]?.pop() ?? this.#newFrame(bytesLg2);
    const spare = this.#tables[frame - this.baseFrame];
    if (spare === NO_TABLE) {
      this.#tables[frame - this.baseFrame] = new Uint32Array(1 << bytesLg2 - 2);
    } else {
      spare.fill(0);
      this.#spare--;
    }
    this.#tablesInUse++;
    this.#bytesInUse += 1 << bytesLg2;
    return frame;
  }
  /** The words of the table at a frame: entry n is the word 2n (bits 31:0) and the word 2n + 1 (bits 63:32). */
  tableAt(frame) {
    return this.#tables[frame - this.baseFrame];
  }
  free(frame) {
    const table = this.tableAt(frame);
    const bytesLg2 = 31 - Math.clz32(table.byteLength);
    this.#free[bytesLg2] ??= [];
    this.#free[bytesLg2].push(frame);
    if (this.#spare < SPARE_TABLES) this.#spare++;
    else this.#tables[frame - this.baseFrame] = NO_TABLE;
    this.#tablesInUse--;
    this.#bytesInUse -= table.byteLength;
  }
  #newFrame(bytesLg2) {
    const frames = bytesLg2 <= TABLE_FRAME_LG2 ? 1 : 1 << bytesLg2 - TABLE_FRAME_LG2;
    const tables = this.#tables;
    while ((this.baseFrame + tables.length) % frames !== 0) {
      this.#free[TABLE_FRAME_LG2] ??= [];
      this.#free[TABLE_FRAME_LG2].push(this.baseFrame + tables.length);
      tables.push(NO_TABLE);
    }
    const frame = this.baseFrame + tables.length;
    if (frame + frames - 1 > LAST_FRAME)
      throw new Errno("ENOMEM", `page tables fill the 512 GiB below 2^39 that every format can address`);
    for (let n = 0; n < frames; n++) tables.push(NO_TABLE);
    return frame;
  }
};

// src/pagetable/explain.ts
function explain(tree, va) {
  const steps = [];
  if (!tree.inRange(va, va)) return steps;
  let frame = tree.topFrame;
  for (let level3 = tree.topLevel; ; level3--) {
    const words = tree.memory.tableAt(frame);
    const index = tree.indexOf(va, level3);
    steps.push({
      level: level3,
      name: tree.format.levels[level3].entryName,
      tableAddress: BigInt(frame) << BigInt(TABLE_FRAME_LG2),
      index,
      entry: BigInt(words[2 * index + 1]) << 32n | BigInt(words[2 * index]),
      meaning: meaningOf(tree, words, index, level3)
    });
    if (!tree.isTable(words, index, level3)) return steps;
    frame = tree.tableFrame(words, index);
  }
}
function meaningOf(tree, words, index, level3) {
  const { format } = tree;
  if (tree.isEmpty(words, index, level3)) return "nothing is mapped here";
  const low = words[2 * index];
  const high = words[2 * index + 1];
  const bits = format.describe(level3, low, high);
  if (tree.isTable(words, index, level3)) {
    const next = BigInt(tree.tableFrame(words, index)) << BigInt(TABLE_FRAME_LG2);
    return `next table at ${hex(next)} (${bits})`;
  }
  const size = byteSize(tree.leafSize(level3, low, high) + format.granuleLg2);
  const address2 = tree.address(format.leafFrame(level3, low, high));
  return `${size} page at ${address2}, ${access(format.leafProtection(level3, low, high))} (${bits})`;
}
function byteSize(lg2) {
  return `${2 ** (lg2 % 10)}${["", "K", "M", "G", "T", "P", "E"][Math.floor(lg2 / 10)]}`;
}
function access(protection) {
  const permitted = [protection & READ ? "read" : "", protection & WRITE ? "write" : ""].filter((word) => word !== "");
  return permitted.length > 0 ? permitted.join(" and ") : "no access";
}
function* leaves(tree) {
  yield* leavesBelow(tree, tree.topWords, tree.topLevel, 0);
}
function* leavesBelow(tree, words, level3, tableVa) {
  const { format } = tree;
  const { items, itemFrames, itemSize } = tree.levels[level3];
  let index = tree.firstInUse(words, 0, items, level3);
  while (index < items) {
    let va = tableVa + index * itemFrames;
    if (tree.isTable(words, index, level3)) {
      yield* leavesBelow(tree, tree.tableBelow(words, index), level3 - 1, va);
      index++;
    } else {
      const low = words[2 * index];
      const high = words[2 * index + 1];
      const size = tree.leafSize(level3, low, high);
      if (tree.signExtend && va >= 2 ** (tree.vaBits - 1 - format.granuleLg2))
        va += tree.spaceFrames - 2 ** (tree.vaBits - format.granuleLg2);
      const protection = format.leafProtection(level3, low, high);
      yield { va, frame: format.leafFrame(level3, low, high), frames: 2 ** size, level: level3, protection };
      index += 1 << size - itemSize;
    }
    index = tree.firstInUse(words, index, items, level3);
  }
}

// src/pagetable/unmap.ts
function unmapRange(tree, va, count) {
  const last = va + count - 1;
  if (count === 0 || va + count > tree.spaceFrames || !tree.inRange(va, last)) return 0;
  const { path, levels, topLevel } = tree;
  let level3 = topLevel;
  path[level3] = tree.topWords;
  let next = va;
  while (next <= last) {
    let index = tree.indexOf(next, level3);
    while (tree.isTable(path[level3], index, level3)) {
      path[level3 - 1] = tree.tableBelow(path[level3], index);
      index = tree.indexOf(next, --level3);
    }
    const words = path[level3];
    if (tree.isEmpty(words, index, level3)) break;
    if (next === va && !isAligned(va, tree.leafSize(level3, words[2 * index], words[2 * index + 1]))) break;
    const { items, itemSize, itemFrames, itemsPerFrame } = levels[level3];
    const itemsLeft = (last - alignDown(next, itemSize)) * itemsPerFrame;
    const end = itemsLeft < items - index ? index + Math.floor(itemsLeft) + 1 : items;
    const after = endOfLeaves(tree, words, index, end, level3);
    tree.clear(words, index, after, level3);
    next += (after - index) * itemFrames;
    while (level3 < topLevel && (next > last || isAligned(next, levels[level3].tableSize))) {
      level3++;
      const { itemSize: itemSize2, itemFrames: itemFrames2 } = levels[level3];
      const tableVa = alignDown(next - 1, itemSize2);
      if (tableVa >= va && tableVa + itemFrames2 - 1 <= last) freeTable(tree, path[level3], tableVa, level3);
    }
  }
  return next - va;
}
function endOfLeaves(tree, words, index, end, level3) {
  const after = tree.firstNoLeaf(words, index, end, level3);
  const size = tree.leafSize(level3, words[2 * after - 2], words[2 * after - 1]);
  const itemsOfLast = 1 << size - tree.levels[level3].itemSize;
  return after + itemsOfLast - 1 & -itemsOfLast;
}
function freeTable(tree, words, va, level3) {
  const index = tree.indexOf(va, level3);
  tree.memory.free(tree.tableFrame(words, index));
  tree.clear(words, index, index + 1, level3);
}

// src/pagetable/map.ts
function mapRange(tree, va, pa, count, protection, sizes) {
  if ((protection & (READ | WRITE)) === 0)
    throw new Errno("EINVAL", "a mapping permits to read, to write or both: its protection has neither");
  if (pa + count > tree.outputFrames) throw outputOutOfRange(tree, pa, count);
  tree.format.checkProtection(protection);
  tree.checkLength(va, count);
  const alignment = trailingZeros(Math.abs(va - pa));
  const firstSize = sizes.best(va, count, alignment);
  if (firstSize < 0) throw noSizeFits(tree, va, pa, count);
  if (tree.growsTop) tree.growTop(va, va + count - 1, tree.levelOfSize(firstSize));
  if (!tree.inRange(va, va + count - 1)) throw tree.outOfRange(va, va + count - 1);
  const { path, levels } = tree;
  let level3 = tree.topLevel;
  path[level3] = tree.topWords;
  let next = va;
  const end = va + count;
  try {
    while (next < end) {
      const size = sizes.best(next, end - next, alignment);
      if (size < 0) throw noSizeFits(tree, next, pa + (next - va), end - next);
      const leafLevel = tree.levelOfSize(size);
      if (level3 < leafLevel) level3 = leafLevel;
      let leaves2 = sizes.countOf(size, next, end - next, alignment);
      while (leaves2 > 0) {
        for (; level3 > leafLevel; level3--) path[level3 - 1] = tableBelow(tree, path[level3], level3, next);
        const stored = storeLeaves(tree, path[level3], level3, next, pa + (next - va), size, leaves2, protection);
        leaves2 -= stored;
        next += stored * powerOfTwo2(size);
        while (level3 < tree.topLevel && isAligned(next, levels[level3].tableSize)) level3++;
      }
    }
  } catch (error) {
    unmapRange(tree, va, next - va);
    freeEmptyTables(tree, tree.topWords, tree.topLevel, va, end - 1, true, true);
    throw error;
  }
}
function tableBelow(tree, words, level3, va) {
  const index = tree.indexOf(va, level3);
  if (!tree.isTable(words, index, level3)) {
    if (!tree.isEmpty(words, index, level3)) throw alreadyMapped(tree, va);
    tree.storeTable(words, index, level3, tree.allocate(level3 - 1));
  }
  return tree.tableBelow(words, index);
}
function storeLeaves(tree, words, level3, va, pa, size, wanted, protection) {
  const { items, itemSize } = tree.levels[level3];
  const itemsLg2 = size - itemSize;
  const index = tree.indexOf(va, level3);
  const leaves2 = Math.min(wanted, items - index >> itemsLg2);
  const end = index + (leaves2 << itemsLg2);
  if (tree.firstInUse(words, index, end, level3) !== end) makeRoom(tree, words, index, end, level3, va);
  tree.format.storeLeaves(words, index, leaves2, level3, size, pa, protection);
  return leaves2;
}
function makeRoom(tree, words, from, to, level3, va) {
  let index = tree.firstInUse(words, from, to, level3);
  while (index < to) {
    if (!tree.isTable(words, index, level3) || hasLeaf(tree, tree.tableBelow(words, index), level3 - 1))
      throw alreadyMapped(tree, va + (index - from) * tree.levels[level3].itemFrames);
    tree.freeTables(tree.tableFrame(words, index), level3 - 1);
    tree.clear(words, index, index + 1, level3);
    index = tree.firstInUse(words, index + 1, to, level3);
  }
}
function hasLeaf(tree, words, level3) {
  const { items } = tree.levels[level3];
  let index = tree.firstInUse(words, 0, items, level3);
  while (index < items) {
    if (!tree.isTable(words, index, level3)) return true;
    if (hasLeaf(tree, tree.tableBelow(words, index), level3 - 1)) return true;
    index = tree.firstInUse(words, index + 1, items, level3);
  }
  return false;
}
function freeEmptyTables(tree, words, level3, va, last, atStart, atEnd) {
  if (level3 === 0) return;
  const from = atStart ? tree.indexOf(va, level3) : 0;
  const to = atEnd ? tree.indexOf(last, level3) : tree.levels[level3].items - 1;
  for (let index = from; index <= to; index++) {
    if (!tree.isTable(words, index, level3)) continue;
    const below = tree.tableBelow(words, index);
    freeEmptyTables(tree, below, level3 - 1, va, last, atStart && index === from, atEnd && index === to);
    const { items } = tree.levels[level3 - 1];
    if (tree.firstInUse(below, 0, items, level3 - 1) < items) continue;
    tree.memory.free(tree.tableFrame(words, index));
    tree.clear(words, index, index + 1, level3);
  }
}
function outputOutOfRange(tree, pa, count) {
  return new Errno(
    "ERANGE",
    `physical address ${tree.address(pa)} to ${tree.address(pa + count - 1)} is beyond the ${tree.paBits} bits that this ${tree.format.name} table can put out`
  );
}
function noSizeFits(tree, va, pa, count) {
  return new Errno(
    "ENXIO",
    `no page size of this ${tree.format.name} table fits iova ${tree.address(va)}, physical address ${tree.address(pa)} and ${tree.address(count)} bytes`
  );
}
function alreadyMapped(tree, va) {
  const { alreadyMapped: alreadyMapped2, name } = tree.format;
  return new Errno(alreadyMapped2, `iova ${tree.address(va)} is mapped already in this ${name} table: unmap it first`);
}

// src/pagetable/page-sizes.ts
var NO_SIZE = 64;
var PageSizes = class {
  /** By lg2: the largest size that is not above it, -1 if there is none. */
  #notAbove = new Int8Array(65).fill(-1);
  /** By lg2: the smallest size above it, NO_SIZE if there is none. */
  #above = new Int8Array(65).fill(NO_SIZE);
  /** @param bitmap of the sizes in bytes, as in a domain's pgsize_bitmap */
  constructor(bitmap, granuleLg2) {
    const frames = bitmap >> BigInt(granuleLg2);
    const has = (size) => (frames >> BigInt(size) & 1n) === 1n;
    for (let size = 0; size <= 64; size++) this.#notAbove[size] = has(size) ? size : this.#notAbove[size - 1] ?? -1;
    for (let size = 63; size >= 0; size--) this.#above[size] = has(size + 1) ? size + 1 : this.#above[size + 1];
  }
  /**
   * The largest size that va, pa and the length of the rest allow.
   * @param alignment trailingZeros(va - pa): how far the two are alike, which never changes along a mapping
   * @returns -1 if no size fits
   */
  best(va, count, alignment) {
    return this.#notAbove[Math.min(trailingZeros(va), alignment, floorLg2(count))];
  }
  /** How many leaves of `size` come before the next larger size can be used, or the mapping ends. */
  countOf(size, va, count, alignment) {
    const next = this.#above[size];
    let frames = count;
    if (next !== NO_SIZE && alignment >= next) {
      frames = Math.min(count, alignDown(va, next) + powerOfTwo2(next) - va);
    }
    return Math.floor(frames / powerOfTwo2(size));
  }
};

// src/pagetable/tree.ts
function treeLevel(level3, granuleLg2, indexBits) {
  const itemSize = level3.itemLg2 - granuleLg2;
  return {
    items: 1 << indexBits,
    indexMask: (1 << indexBits) - 1,
    tableBytesLg2: indexBits + 3,
    itemSize,
    tableSize: itemSize + indexBits,
    itemFrames: 2 ** itemSize,
    itemsPerFrame: 2 ** -itemSize,
    emptyMask: level3.empty.mask,
    emptyValue: level3.empty.value,
    tableMask: level3.table?.mask ?? 0,
    tableValue: level3.table?.value ?? 1,
    // matches nothing: level 0 has no tables below it
    tableLow: level3.tableBits?.[0] ?? 0,
    tableHigh: level3.tableBits?.[1] ?? 0
  };
}
var Tree = class {
  format;
  memory;
  levels;
  vaBits;
  paBits;
  growsTop;
  signExtend;
  /** How many frames there are in the 64-bit address space, and below 2^paBits. */
  spaceFrames;
  outputFrames;
  #topChanged;
  #addressShift;
  #contiguousLow;
  #contiguousHigh;
  topLevel;
  topFrame;
  topWords;
  /** The top translates frames up to this one, and, with sign extension, from the other one on. */
  #lowLast = 0;
  #highFirst = Number.POSITIVE_INFINITY;
  /** Scratch of a mapping or unmapping under way: by level, the tables on its way. */
  path = [];
  /** What find() found: the item's level, the frame of its table, its index there, its two words. */
  leafLevel = 0;
  leafTable = 0;
  leafIndex = 0;
  leafLow = 0;
  leafHigh = 0;
  constructor(format, config, memory) {
    this.format = format;
    this.memory = memory;
    this.growsTop = config.growsTop ?? false;
    this.signExtend = config.signExtend ?? false;
    this.topLevel = config.topLevel;
    this.paBits = config.paBits;
    this.vaBits = checkedVaBits(format, config);
    this.spaceFrames = 2 ** (64 - format.granuleLg2);
    this.outputFrames = 2 ** (config.paBits - format.granuleLg2);
    this.#topChanged = config.topChanged;
    this.#addressShift = format.tableAddressShift;
    this.#contiguousLow = format.contiguous?.low ?? 0;
    this.#contiguousHigh = format.contiguous?.high ?? 0;
    this.levels = format.levels.map((level3, n) => {
      const isFixedTop = n === config.topLevel && !this.growsTop;
      const bits = isFixedTop ? Math.max(0, this.vaBits - level3.itemLg2) : level3.indexBits;
      return treeLevel(level3, format.granuleLg2, bits);
    });
    this.topFrame = this.allocate(this.topLevel);
    this.topWords = memory.tableAt(this.topFrame);
    this.#updateRange();
  }
  /** pt_check_range() */
  inRange(va, last) {
    return last <= this.#lowLast || va >= this.#highFirst;
  }
  /** The address that item 0 of the top translates, seen from `va`: with sign extension there are two. */
  topVa(va) {
    return va >= this.#highFirst ? this.spaceFrames - 2 ** (this.vaBits - this.format.granuleLg2) : 0;
  }
  /** The first and last address that translates once the top is as high as it may be. */
  get aperture() {
    return { first: 0, last: 2 ** (this.vaBits - (this.signExtend ? 1 : 0) - this.format.granuleLg2) - 1 };
  }
  /** Walks to the leaf that translates `va`, and says if there is one. */
  find(va) {
    if (!this.inRange(va, va)) return false;
    const { memory, levels } = this;
    const shift = this.#addressShift;
    let frame = this.topFrame;
    let words = this.topWords;
    for (let number2 = this.topLevel; ; number2--) {
      const level3 = levels[number2];
      const index = va * level3.itemsPerFrame & level3.indexMask;
      const low = words[2 * index];
      const high = words[2 * index + 1];
      if ((low & level3.tableMask) !== level3.tableValue) {
        this.leafLevel = number2;
        this.leafTable = frame;
        this.leafIndex = index;
        this.leafLow = low | 0;
        this.leafHigh = high | 0;
        return (low & level3.emptyMask) !== level3.emptyValue;
      }
      frame = high << 32 - shift | low >>> shift;
      words = memory.tableAt(frame);
    }
  }
  /** Where `va` leads, -1 if nowhere. */
  translate(va) {
    if (!this.find(va)) return -1;
    const frame = this.format.leafFrame(this.leafLevel, this.leafLow, this.leafHigh);
    const size = this.leafSize(this.leafLevel, this.leafLow, this.leafHigh);
    return size === 0 ? frame : frame + (va - alignDown(va, size));
  }
  leafSize(level3, low, high) {
    return this.isContiguous(low, high) ? this.format.leafSize(level3, low, high) : this.levels[level3].itemSize;
  }
  /** Is this item of a leaf one of several? */
  isContiguous(low, high) {
    const lowMark = this.#contiguousLow;
    const highMark = this.#contiguousHigh;
    return (low & lowMark) === lowMark && (high & highMark) === highMark && (lowMark | highMark) !== 0;
  }
  /** The item of a table of this level that `va` falls into. */
  indexOf(va, level3) {
    const { itemsPerFrame, indexMask } = this.levels[level3];
    return va * itemsPerFrame & indexMask;
  }
  /** The table that an entry points to. */
  tableFrame(words, index) {
    return words[2 * index + 1] << 32 - this.#addressShift | words[2 * index] >>> this.#addressShift;
  }
  tableBelow(words, index) {
    return this.memory.tableAt(this.tableFrame(words, index));
  }
  isTable(words, index, level3) {
    const { tableMask, tableValue } = this.levels[level3];
    return (words[2 * index] & tableMask) === tableValue;
  }
  isEmpty(words, index, level3) {
    const { emptyMask, emptyValue } = this.levels[level3];
    return (words[2 * index] & emptyMask) === emptyValue;
  }
  /** The first item from `from` to before `to` that is not empty; `to` if all are. */
  firstInUse(words, from, to, level3) {
    const { emptyMask: mask, emptyValue: value } = this.levels[level3];
    const end = 2 * to;
    let at = 2 * from;
    for (; at + 14 < end; at += 16) {
      const different = words[at] ^ value | words[at + 2] ^ value | words[at + 4] ^ value | words[at + 6] ^ value | words[at + 8] ^ value | words[at + 10] ^ value | words[at + 12] ^ value | words[at + 14] ^ value;
      if ((different & mask) !== 0) break;
    }
    while (at < end && (words[at] & mask) === value) at += 2;
    return at >>> 1;
  }
  /** The first item from `from` to before `to` that is not a leaf; `to` if all are. */
  firstNoLeaf(words, from, to, level3) {
    const { emptyMask: mask, emptyValue: value, tableMask, tableValue } = this.levels[level3];
    const end = 2 * to;
    let at = 2 * from;
    for (; level3 === 0 && at + 14 < end; at += 16) {
      const different = (words[at] ^ value) & (words[at + 2] ^ value) & (words[at + 4] ^ value) & (words[at + 6] ^ value) & (words[at + 8] ^ value) & (words[at + 10] ^ value) & (words[at + 12] ^ value) & (words[at + 14] ^ value);
      if ((different & mask) === 0) break;
    }
    while (at < end && (words[at] & mask) !== value && (words[at] & tableMask) !== tableValue) at += 2;
    return at >>> 1;
  }
  /** Makes items from `from` to before `to` empty. */
  clear(words, from, to, level3) {
    words.fill(0, 2 * from, 2 * to);
    const { emptyValue } = this.levels[level3];
    if (emptyValue !== 0) for (let index = from; index < to; index++) words[2 * index] = emptyValue;
  }
  /** A table of empty items. @throws ENOMEM */
  allocate(level3) {
    const { items, tableBytesLg2, emptyValue } = this.levels[level3];
    const bytesLg2 = level3 === this.topLevel ? Math.max(tableBytesLg2, TABLE_FRAME_LG2) : tableBytesLg2;
    const frame = this.memory.allocate(bytesLg2);
    if (emptyValue !== 0) this.clear(this.memory.tableAt(frame), 0, items, level3);
    return frame;
  }
  /** Points an item at a table of the level below. */
  storeTable(words, index, level3, frame) {
    const { tableLow, tableHigh } = this.levels[level3];
    words[2 * index] = frame << this.#addressShift | tableLow;
    words[2 * index + 1] = frame >>> 32 - this.#addressShift | tableHigh;
  }
  /** Frees a table and all tables below it, whatever they hold. */
  freeTables(frame, level3) {
    if (level3 > 0) {
      const words = this.memory.tableAt(frame);
      for (let index = 0; index < this.levels[level3].items; index++)
        if (this.isTable(words, index, level3)) this.freeTables(this.tableFrame(words, index), level3 - 1);
    }
    this.memory.free(frame);
  }
  /**
   * Raises the top until it covers the range and can hold a leaf of that level: increase_top().
   * Each new top has the old one at its item 0.
   * @throws ERANGE if no top does, ENOMEM
   */
  growTop(va, last, leafLevel) {
    if (last <= this.#lowLast && leafLevel <= this.topLevel) return;
    let level3 = this.topLevel;
    while (last > this.#lastCoveredBy(level3) || leafLevel > level3) {
      level3++;
      if (level3 >= this.levels.length || this.format.levels[level3].itemLg2 >= this.vaBits)
        throw this.outOfRange(va, last);
    }
    const added = [];
    try {
      for (let n = this.topLevel + 1; n <= level3; n++) added.push(this.memory.allocate(TABLE_FRAME_LG2));
    } catch (error) {
      for (const frame of added) this.memory.free(frame);
      throw error;
    }
    for (const frame of added) {
      this.topWords = this.memory.tableAt(frame);
      this.storeTable(this.topWords, 0, ++this.topLevel, this.topFrame);
      this.topFrame = frame;
    }
    this.#updateRange();
    this.#topChanged?.();
  }
  /** pt_pgsz_lg2_to_level(): the highest level at which one item is not larger than the page. */
  levelOfSize(size) {
    const { levels } = this;
    let level3 = 0;
    while (level3 + 1 < levels.length && levels[level3 + 1].itemSize <= size) level3++;
    return level3;
  }
  checkLength(va, count) {
    if (count === 0) throw new Errno("EINVAL", `a range of no length at iova ${this.address(va)}`);
    if (va + count > this.spaceFrames)
      throw new Errno(
        "EOVERFLOW",
        `iova ${this.address(va)} and ${this.address(count)} bytes from it on wrap around 2^64`
      );
  }
  outOfRange(va, last) {
    const reach = this.growsTop ? this.vaBits : `${this.vaBits}${this.signExtend ? ", sign-extended" : ""}`;
    return new Errno(
      this.format.outOfRange,
      `iova ${this.address(va)} to ${this.address(last)} is outside the ${reach} bits that this ${this.format.name} table translates`
    );
  }
  /** A frame as people write it, in bytes. */
  address(frame) {
    return hex(BigInt(frame) << BigInt(this.format.granuleLg2));
  }
  /** The last frame that a tree with its top at this level translates. */
  #lastCoveredBy(level3) {
    const { itemSize, items } = this.levels[level3];
    const reach = 2 ** itemSize * items;
    const space = 2 ** (this.vaBits - this.format.granuleLg2);
    return Math.min(reach, space) - 1;
  }
  #updateRange() {
    this.#lowLast = this.#lastCoveredBy(this.topLevel);
    if (!this.signExtend) return;
    const half = 2 ** (this.vaBits - 1 - this.format.granuleLg2);
    this.#lowLast = half - 1;
    this.#highFirst = this.spaceFrames - half;
  }
};
function checkedVaBits(format, config) {
  const { vaBits, paBits, topLevel, growsTop, signExtend } = config;
  if (vaBits <= format.granuleLg2 || vaBits > format.maxVaBits)
    throw new Errno("EINVAL", `${format.name} translates up to ${format.maxVaBits} bits of iova, not ${vaBits}`);
  if (paBits <= format.granuleLg2 || paBits > format.maxPaBits)
    throw new Errno("EINVAL", `${format.name} puts out up to ${format.maxPaBits} bits of address, not ${paBits}`);
  if (topLevel < format.lowestTopLevel || topLevel >= format.levels.length)
    throw new Errno(
      format.narrowsToTop ? "EINVAL" : "EOPNOTSUPP",
      `the top of a ${format.name} table is at level ${format.lowestTopLevel} to ${format.levels.length - 1}, not ${topLevel}`
    );
  if (signExtend && (growsTop || vaBits === 64))
    throw new Errno("EINVAL", `sign extension needs a table that can't grow and fewer than 64 bits of iova`);
  if (growsTop || topLevel === format.levels.length - 1) return vaBits;
  const top = format.levels[topLevel];
  const covered = top.itemLg2 + top.indexBits;
  if (format.narrowsToTop) return Math.min(covered, vaBits);
  if (vaBits > covered + format.concatenatedTopsLg2)
    throw new Errno(
      "EOPNOTSUPP",
      `a ${format.name} table with its top at level ${topLevel} covers ${covered} bits of iova, not ${vaBits}`
    );
  return vaBits;
}

// src/pagetable/pagetable.ts
var Translation = class {
  /** Where the address that was looked up leads. */
  frame = 0;
  /** The leaf that says so: its first address and how many frames it maps. */
  leafVa = 0;
  leafFrames = 0;
  /** READ, WRITE */
  protection = 0;
};
var PageTable = class {
  format;
  /** The sizes in bytes that a leaf can have, a bitmap: a domain's pgsize_bitmap. */
  pageSizes;
  /** The aperture in bytes. */
  firstAddress;
  lastAddress;
  #tree;
  #sizes;
  /** The sizes that the last caller allowed, which is likely to be the next one too. */
  #allowed = 0n;
  #allowedSizes;
  /** @throws EINVAL or EOPNOTSUPP if the format has no such table, ENOMEM */
  constructor(format, config, memory) {
    const granule = BigInt(format.granuleLg2);
    this.format = format;
    this.#tree = new Tree(format, config, memory);
    this.pageSizes = possiblePageSizes(this.#tree);
    this.#sizes = new PageSizes(this.pageSizes, format.granuleLg2);
    this.#allowedSizes = this.#sizes;
    const { first, last } = this.#tree.aperture;
    this.firstAddress = BigInt(first) << granule;
    this.lastAddress = (BigInt(last + 1) << granule) - 1n;
  }
  /** The top table's physical address in bytes and its level: what the hardware is told. */
  get topAddress() {
    return BigInt(this.#tree.topFrame) << BigInt(TABLE_FRAME_LG2);
  }
  get topLevel() {
    return this.#tree.topLevel;
  }
  get growsTop() {
    return this.#tree.growsTop;
  }
  get signExtend() {
    return this.#tree.signExtend;
  }
  get paBits() {
    return this.#tree.paBits;
  }
  /**
   * Maps `count` frames at `va` to those at `pa`, all of them or none.
   * @param allowedSizes the page sizes in bytes that may be used, a bitmap; all that the table has if absent
   * @throws EINVAL, EOVERFLOW, ERANGE (VA or PA), ENXIO (no page size fits), EADDRINUSE (mapped already), ENOMEM
   */
  map(va, pa, count, protection, allowedSizes) {
    const sizes = allowedSizes === void 0 ? this.#sizes : this.#sizesWithin(allowedSizes);
    mapRange(this.#tree, va, pa, count, protection, sizes);
  }
  /**
   * Unmaps `count` frames from `va` on.
   * @returns how many really were: more if the range ends inside of a leaf, which goes as a whole; fewer if it meets a
   * hole or starts inside of a leaf, where it stops
   */
  unmap(va, count) {
    return unmapRange(this.#tree, va, count);
  }
  /** Where `va` leads, -1 if nowhere. */
  translate(va) {
    return this.#tree.translate(va);
  }
  /** Where `va` leads and what it permits; false, and `into` untouched, if nowhere. */
  lookup(va, into) {
    const tree = this.#tree;
    if (!tree.find(va)) return false;
    const { leafLevel: level3, leafLow: low, leafHigh: high } = tree;
    const size = tree.leafSize(level3, low, high);
    into.leafFrames = powerOfTwo2(size);
    into.leafVa = alignDown(va, size);
    into.frame = this.format.leafFrame(level3, low, high) + (va - into.leafVa);
    into.protection = this.format.leafProtection(level3, low, high);
    return true;
  }
  /** What `va` permits (READ, WRITE), 0 if nothing is mapped there. */
  protectionOf(va) {
    const tree = this.#tree;
    if (!tree.find(va)) return 0;
    return this.format.leafProtection(tree.leafLevel, tree.leafLow, tree.leafHigh);
  }
  /** Marks the leaf at `va` as written to, as the hardware does. False if it can't be: no leaf, or no such format. */
  setDirty(va) {
    return setDirty(this.#tree, va);
  }
  /** Marks the leaf at `va` as accessed, as the hardware does. False if it can't be. */
  setAccessed(va) {
    return setAccessed(this.#tree, va);
  }
  /**
   * Reports the dirty leaves of a range, in order and as stretches; a leaf is reported whole.
   * @param clear makes them clean
   * @throws EOPNOTSUPP if the format knows no dirty pages, EINVAL, EOVERFLOW, ERANGE
   */
  readDirty(va, count, clear, report) {
    readDirty(this.#tree, va, count, clear, report);
  }
  /** The walk for `va`, level by level. */
  explain(va) {
    return explain(this.#tree, va);
  }
  /** All leaves in the order of their addresses, the lower half first. */
  entries() {
    return leaves(this.#tree);
  }
  /** Gives every table back. The page table is not to be used after. */
  free() {
    this.#tree.freeTables(this.#tree.topFrame, this.#tree.topLevel);
  }
  #sizesWithin(allowed) {
    if (allowed !== this.#allowed) {
      this.#allowed = allowed;
      this.#allowedSizes = new PageSizes(this.pageSizes & allowed, this.format.granuleLg2);
    }
    return this.#allowedSizes;
  }
};
function possiblePageSizes(tree) {
  const { format, vaBits, paBits } = tree;
  const levels = tree.growsTop ? format.levels.filter((level3) => level3.itemLg2 < vaBits) : format.levels.slice(0, tree.topLevel + 1);
  const sizes = levels.reduce((all, level3) => all | level3.leafSizes, 0n);
  return sizes & (1n << BigInt(vaBits - 1)) - 1n & (1n << BigInt(paBits)) - 1n;
}

// src/iommu/drivers/selftest-domain.ts
var MockDomain = class extends PagingDomain {
  /** @param type MockPageTable */
  constructor(driver, memory, type, tracksDirty) {
    super(driver, new PageTable(amdv1Mock, { vaBits: 56, paBits: 51, topLevel: 2 }, memory));
    if (type === MockPageTable.HUGE) {
      this.pageSizes = BigInt(MOCK_HUGE_PAGE_SIZE | PAGE_SIZE);
    } else this.aperture = { first: MOCK_APERTURE_START, last: MOCK_APERTURE_LAST };
    if (tracksDirty) this.dirtyTracking = new MockDirtyTracking();
  }
  attachDevice(device, old) {
    attach(this, device, old);
  }
  setDevicePasid(device, pasid, old) {
    attachPasid(this, device, pasid, old);
  }
};
var MockDirtyTracking = class {
  enabled = false;
  set(enable) {
    this.enabled = enable;
  }
};
var MockNestedDomain = class extends NestedDomain {
  /** A stand-in for cached translations: values that an invalidation sets to 0. */
  iotlb;
  /** The vIOMMU that it was made on, if it was not made on a parent. */
  viommu;
  constructor(driver, iotlb, viommu) {
    super(driver);
    this.iotlb = new Uint32Array(MOCK_NESTED_DOMAIN_IOTLB_NUM).fill(iotlb);
    this.viommu = viommu;
  }
  attachDevice(device, old) {
    attach(this, device, old);
  }
  setDevicePasid(device, pasid, old) {
    attachPasid(this, device, pasid, old);
  }
  invalidateCache(array3) {
    const type = InvalidateDataType.SELFTEST;
    if (array3.type !== type)
      throw new Errno("EINVAL", `data_type is ${hex(array3.type)}: a nested HWPT of selftest takes ${hex(type)}`);
    for (; array3.done < array3.entries; array3.done++) {
      const entry = readUserDataEntry(array3, array3.done, type, HwptInvalidateSelftest);
      if (entry.flags & ~TestInvalidateFlags.ALL)
        throw new Errno("EOPNOTSUPP", `entry ${array3.done}: flags is ${hex(entry.flags)}, and only ALL is known`);
      if (entry.iotlbId > MOCK_NESTED_DOMAIN_IOTLB_ID_MAX)
        throw new Errno(
          "EINVAL",
          `entry ${array3.done}: iotlb_id is ${entry.iotlbId}, and the last one is ${MOCK_NESTED_DOMAIN_IOTLB_ID_MAX}`
        );
      if (entry.flags & TestInvalidateFlags.ALL) this.iotlb.fill(0);
      else this.iotlb[entry.iotlbId] = 0;
    }
  }
  free() {
  }
};
var MockBlockedDomain = class extends Domain {
  type = "blocked";
  attachDevice(device, old) {
    attach(this, device, old);
  }
  setDevicePasid(device, pasid, old) {
    attachPasid(this, device, pasid, old);
  }
  free() {
  }
};
function attach(domain, device, old) {
  if (domain instanceof MockDomain && domain.dirtyTracking && !device.tracksDirty)
    throw new Errno("EINVAL", `${device.name} was made with NO_DIRTY, and the HWPT enforces dirty tracking`);
  const viommu = domain instanceof MockNestedDomain ? domain.viommu : void 0;
  const virtualId = viommu?.core.virtualIdOf(device) ?? 0n;
  if (viommu !== device.viommu) {
    device.viommu = viommu;
    device.virtualId = virtualId;
  }
  device.moveFaults(domain, old);
}
function attachPasid(domain, device, pasid, old) {
  if (pasid === IOMMU_TEST_PASID_RESERVED) {
    const fails = domain.type !== "blocked" && device.reservedPasidWillFail;
    device.reservedPasidWillFail = domain.type !== "blocked" && !fails;
    if (fails)
      throw new Errno("ENOMEM", `selftest: every second attach of PASID ${pasid} fails, as the kernel's test expects`);
  }
  device.moveFaults(domain, old);
}

// src/memory/array-space.ts
var ArrayBacking = class {
  name;
  bytes;
  constructor(name, bytes) {
    this.name = name;
    this.bytes = bytes;
  }
  read(at, into) {
    const from = this.bytes.subarray(at, at + into.length);
    into.set(from);
    return from.length;
  }
  write(at, from) {
    const length = Math.max(0, Math.min(from.length, this.bytes.length - at));
    this.bytes.set(from.subarray(0, length), at);
    return length;
  }
};
var ArraySpace = class {
  name;
  alive = true;
  #mappings = [];
  constructor(name = "array") {
    this.name = name;
  }
  /** Maps `bytes` (whole pages) of zeroed memory at `address` (a multiple of the page size); returns the array. */
  map(address2, bytes, options = {}) {
    const backing = options.backing ?? new ArrayBacking(`${this.name} at ${hex(address2)}`, new Uint8Array(bytes));
    this.#mappings.push({
      first: address2 / PAGE_SIZE,
      count: bytes / PAGE_SIZE,
      writable: options.writable ?? true,
      backing,
      page: options.page ?? 0
    });
    return backing.bytes;
  }
  /** Takes away the mapping that starts at `address`. */
  unmap(address2) {
    const at = this.#mappings.findIndex((mapping) => mapping.first === address2 / PAGE_SIZE);
    if (at >= 0) this.#mappings.splice(at, 1);
  }
  read(address2, into) {
    return this.#each(
      address2,
      into.length,
      false,
      (backing, at, done, length) => backing.read(at, into.subarray(done, done + length))
    );
  }
  write(address2, from) {
    return this.#each(
      address2,
      from.length,
      true,
      (backing, at, done, length) => backing.write(at, from.subarray(done, done + length))
    );
  }
  resolve(first, count, writable, into) {
    for (let page = first; page < first + count; page++) {
      const mapping = this.#find(page);
      if (mapping === void 0) throw new Errno("EFAULT", `nothing is mapped at ${hex(page * PAGE_SIZE)}`);
      if (writable && !mapping.writable)
        throw new Errno("EFAULT", `the memory at ${hex(page * PAGE_SIZE)} is not writable`);
      into.add(mapping.backing, mapping.page + page - mapping.first, 1);
    }
  }
  #find(page) {
    return this.#mappings.find((mapping) => mapping.first <= page && page < mapping.first + mapping.count);
  }
  /** Calls `copy` for each stretch within one page; returns how many bytes were copied before the first that can't be. */
  #each(address2, length, writing, copy) {
    let done = 0;
    while (done < length) {
      const page = Math.floor((address2 + done) / PAGE_SIZE);
      const mapping = this.#find(page);
      if (mapping === void 0 || writing && !mapping.writable) return done;
      const inPage = address2 + done - page * PAGE_SIZE;
      const piece = Math.min(PAGE_SIZE - inPage, length - done);
      done += copy(mapping.backing, (mapping.page + page - mapping.first) * PAGE_SIZE + inPage, done, piece);
    }
    return done;
  }
};

// src/iommu/drivers/selftest-viommu.ts
var MMAP_LENGTH = 2 * PAGE_SIZE;
var MockViommu = class {
  core;
  #driver;
  #parent;
  /** By index. */
  #queues = [];
  #mmapOffset;
  /** @param data an iommu_viommu_selftest: the number in it comes back in the struct, and in the first word of the mapping */
  constructor(driver, core, parent, data) {
    this.core = core;
    this.#driver = driver;
    this.#parent = parent;
    if (data !== void 0) this.#echo(data);
  }
  #echo(data) {
    const view = readUserData(data, ViommuType.SELFTEST, ViommuSelftest);
    const page = new ArrayBacking("registers of a mock vIOMMU", new Uint8Array(MMAP_LENGTH));
    new DataView(page.bytes.buffer).setUint32(0, view.inData, true);
    const offset = this.core.addMapping(page, MMAP_LENGTH);
    view.outData = view.inData;
    view.outMmapLength = BigInt(MMAP_LENGTH);
    view.outMmapOffset = BigInt(offset);
    try {
      writeUserData(data, view, ViommuSelftest);
    } catch (error) {
      this.core.removeMapping(offset);
      throw error;
    }
    this.#mmapOffset = offset;
  }
  allocDomainNested(flags2, data) {
    return allocNested(this.#driver, flags2, data, this);
  }
  invalidateCache(array3) {
    const type = InvalidateDataType.SELFTEST;
    if (array3.entries === 0 && array3.type === type) return;
    carryOutUserData(array3, type, ViommuInvalidateSelftest, ({ flags: flags2, vdevId, cacheId }, index) => {
      if (flags2 & ~TestInvalidateFlags.ALL)
        throw new Errno("EOPNOTSUPP", `entry ${index}: flags is ${hex(flags2)}, and only ALL is known`);
      if (cacheId > MOCK_DEV_CACHE_ID_MAX)
        throw new Errno(
          "EINVAL",
          `entry ${index}: cache_id is ${cacheId}, and the last one is ${MOCK_DEV_CACHE_ID_MAX}`
        );
      const device = this.core.findDevice(BigInt(vdevId));
      if (device === void 0) throw new Errno("EINVAL", `entry ${index}: the vIOMMU has no vDEVICE ${hex(vdevId)}`);
      if (flags2 & TestInvalidateFlags.ALL) device.cache.fill(0);
      else device.cache[cacheId] = 0;
    });
  }
  hasHwQueue(type) {
    return type === HwQueueType.SELFTEST;
  }
  /** Queues are made in the order of their indexes, so that a test sees one queue holding another. */
  hwQueueInit({ index, iova }, physicalAddress) {
    if (index >= IOMMU_TEST_HW_QUEUE_MAX)
      throw new Errno("EINVAL", `index is ${index}, and a mock vIOMMU has ${IOMMU_TEST_HW_QUEUE_MAX} queues`);
    if (this.#queues[index] !== void 0) throw new Errno("EEXIST", `the vIOMMU has a queue ${index} already`);
    const before = index > 0 ? this.#queues[index - 1] : void 0;
    if (index > 0 && before === void 0)
      throw new Errno("EIO", `queue ${index - 1} has to be made before queue ${index}`);
    if (this.#translate(iova) !== physicalAddress)
      throw new Errno("EFAULT", `IOVA ${hex(iova)} of the parent doesn't lead to ${hex(physicalAddress)}`);
    const queue = new MockHwQueue(before, () => {
      this.#queues[index] = void 0;
    });
    this.#queues[index] = queue;
    return queue;
  }
  free() {
    if (this.#mmapOffset !== void 0) this.core.removeMapping(this.#mmapOffset);
  }
  /** Where an IOVA of the parent leads to, in bytes. */
  #translate(iova) {
    const { table } = this.#parent;
    const granule = 2 ** table.format.granuleLg2;
    const found3 = table.translate(Number(iova / BigInt(granule)));
    return found3 < 0 ? 0 : found3 * granule + Number(iova % BigInt(granule));
  }
};
var MockHwQueue = class {
  dependsOn;
  free;
  constructor(dependsOn, free) {
    this.dependsOn = dependsOn;
    this.free = free;
  }
};
function allocNested(driver, flags2, data, viommu) {
  if (flags2 & ~HwptAllocFlags.PASID)
    throw new Errno("EOPNOTSUPP", `selftest: a nested HWPT takes no flag but PASID, and flags is ${hex(flags2)}`);
  if (data.type !== HwptDataType.SELFTEST)
    throw new Errno("EOPNOTSUPP", `selftest: data_type is ${hex(data.type)}, and it knows SELFTEST only`);
  return new MockNestedDomain(driver, readUserData(data, HwptDataType.SELFTEST, HwptSelftest).iotlb, viommu);
}

// src/iommu/drivers/selftest.ts
var SelftestIommu = class {
  driver;
  #numbers = [];
  #groups = 0;
  constructor(memory) {
    this.driver = new SelftestDriver(memory);
  }
  /**
   * Makes a device, in a group of its own.
   * @param flags MockDeviceFlags
   * @throws EINVAL for another flag
   */
  addDevice(flags2) {
    const known = MockDeviceFlags.NO_DIRTY | MockDeviceFlags.PASID;
    if (flags2 & ~known)
      throw new Errno("EINVAL", `dev_flags has ${hex(flags2 & ~known)}, which is neither NO_DIRTY nor PASID`);
    let number2 = this.#numbers.indexOf(false);
    if (number2 < 0) number2 = this.#numbers.length;
    this.#numbers[number2] = true;
    return new MockDevice(this.driver, new Group(this.#groups++), number2, flags2);
  }
  removeDevice(device) {
    this.#numbers[device.number] = false;
  }
};
var SelftestDriver = class {
  name = "selftest";
  blockedDomain = new MockBlockedDomain(this);
  userPasidTable = true;
  #memory;
  constructor(memory) {
    this.#memory = memory;
  }
  capable(device, capability) {
    if (capability === "cache-coherency") return true;
    return capability === "dirty-tracking" && device.tracksDirty;
  }
  domainAllocPagingFlags(device, flags2, data) {
    const known = HwptAllocFlags.DIRTY_TRACKING | HwptAllocFlags.NEST_PARENT | HwptAllocFlags.PASID;
    if (flags2 & ~known) throw new Errno("EOPNOTSUPP", `selftest: flags has ${hex(flags2 & ~known)}, which it can't do`);
    if (flags2 & HwptAllocFlags.DIRTY_TRACKING && !device.tracksDirty)
      throw new Errno("EOPNOTSUPP", `selftest: ${device.name} was made with NO_DIRTY`);
    let type = MockPageTable.DEFAULT;
    if (data !== void 0) {
      if (data.type !== HwptDataType.SELFTEST)
        throw new Errno("EOPNOTSUPP", `selftest: data_type is ${hex(data.type)}, and it knows SELFTEST only`);
      type = readUserData(data, HwptDataType.SELFTEST, HwptSelftest).pagetableType;
    }
    if (type !== MockPageTable.DEFAULT && type !== MockPageTable.HUGE)
      throw new Errno("EOPNOTSUPP", `selftest: pagetable_type ${type} is neither DEFAULT nor HUGE`);
    return new MockDomain(this, this.#memory, type, (flags2 & HwptAllocFlags.DIRTY_TRACKING) !== 0);
  }
  domainAllocNested(_device, _parent, flags2, data) {
    return allocNested(this, flags2, data);
  }
  hwInfo(_device, type) {
    if (type !== HwInfoType.NONE && type !== HwInfoType.SELFTEST)
      throw new Errno("EOPNOTSUPP", `selftest: in_data_type is ${hex(type)}, and it knows SELFTEST only`);
    const info = TestHwInfo.newView();
    info.testReg = IOMMU_HW_INFO_SELFTEST_REGVAL;
    return { type: HwInfoType.SELFTEST, bytes: info.bytes };
  }
  /** A mock device waits for no answer. */
  pageResponse() {
  }
  hasViommu(_device, type) {
    return type === ViommuType.SELFTEST;
  }
  viommuInit(core, _device, _type, parent, data) {
    return new MockViommu(this, core, parent, data);
  }
};

// src/uapi/rules.ts
var firstWord = new Uint8Array(4);
var tail = new Uint8Array(16 * 1024);
function readCommand(memory, address2, command2) {
  const { bytes } = command2.view;
  const { size } = command2;
  const got = memory.read(address2, bytes);
  if (got < 4) throw new Errno("EFAULT", `${command2.name}: no struct can be read at ${hex(address2)}`);
  const callerSize = command2.words[0];
  if (callerSize === size && got === size) return size;
  if (callerSize < command2.minimumSize) throw tooShort(command2, callerSize);
  if (callerSize > size) requireZeroes(memory, address2, size, callerSize, command2);
  if (got < Math.min(callerSize, size))
    throw new Errno("EFAULT", `${command2.name}: of the ${callerSize} bytes at ${hex(address2)} only ${got} can be read`);
  bytes.fill(0, callerSize);
  return callerSize;
}
function readSize(memory, address2) {
  if (memory.read(address2, firstWord) !== 4) throw new Errno("EFAULT", `no struct can be read at ${hex(address2)}`);
  return new Uint32Array(firstWord.buffer)[0];
}
function readVfioCommand(memory, address2, command2) {
  const { bytes } = command2.view;
  bytes.fill(0);
  const got = memory.read(address2, bytes.subarray(0, command2.minimumSize));
  if (got < command2.minimumSize)
    throw new Errno("EFAULT", `${command2.name}: the ${command2.minimumSize} bytes at ${hex(address2)} can't be read`);
  const argsz = command2.words[0];
  if (argsz < command2.minimumSize) throw tooShort(command2, argsz);
  return argsz;
}
function readThrough(memory, address2, command2, name, argsz) {
  const { cName, offset, size } = fieldOf(command2, name);
  const end = offset + size;
  if (argsz < end)
    throw new Errno("EINVAL", `${command2.name}: flags ask for ${cName}, but argsz ${argsz} ends before byte ${end}`);
  const more = command2.view.bytes.subarray(command2.minimumSize, end);
  if (memory.read(address2 + command2.minimumSize, more) !== more.length)
    throw new Errno("EFAULT", `${command2.name}: ${cName} can't be read from the struct at ${hex(address2)}`);
}
function checkFields(command2) {
  const { words, forbidden } = command2;
  for (let i = 0; i < forbidden.length; i++) {
    if ((words[forbidden[i].word] & forbidden[i].mask) !== 0) throw refusal(command2);
  }
}
function respond(memory, address2, command2, callerSize) {
  const { bytes } = command2.view;
  const answer2 = callerSize < bytes.length ? bytes.subarray(0, callerSize) : bytes;
  if (memory.write(address2, answer2) !== answer2.length)
    throw new Errno("EFAULT", `${command2.name}: the answer can't be written to the struct at ${hex(address2)}`);
}
function respondField(memory, address2, command2, name) {
  const { cName, offset, size } = fieldOf(command2, name);
  const answer2 = command2.view.bytes.subarray(offset, offset + size);
  if (memory.write(address2 + offset, answer2) !== answer2.length)
    throw new Errno("EFAULT", `${command2.name}: ${cName} can't be written to the struct at ${hex(address2)}`);
}
function fieldOf(command2, name) {
  return command2.fields.find((field2) => field2.name === name);
}
function requireZeroes(memory, address2, from, to, command2) {
  for (let at = from; at < to; at += tail.length) {
    const chunk = to - at < tail.length ? tail.subarray(0, to - at) : tail;
    const got = memory.read(address2 + at, chunk);
    const unknown = chunk.subarray(0, got).findIndex((byte) => byte !== 0);
    if (unknown >= 0)
      throw new Errno(
        "E2BIG",
        `byte ${at + unknown} of the struct is ${hex(chunk[unknown])}, but ${command2.name} is known up to byte ${from} only: what follows must be 0`
      );
    if (got < chunk.length)
      throw new Errno("EFAULT", `${command2.name}: size says ${to} bytes, but byte ${at + got} can't be read`);
  }
}
function tooShort(command2, callerSize) {
  const [sizeField] = command2.fields;
  const required = command2.fields.findLast((field2) => field2.offset + field2.size === command2.minimumSize);
  return new Errno(
    "EINVAL",
    `${command2.name}: ${sizeField.cName} says ${callerSize} bytes, but up to ${required?.cName} it takes ${command2.minimumSize}`
  );
}
function refusal(command2) {
  for (const field2 of command2.fields) {
    if (field2.forbids === "nothing" || field2.checkedByHandler) continue;
    const refused = refusedBits(field2, readField(command2.view, field2));
    if (refused !== 0n)
      return new Errno(command2.refusal, `${command2.name}: ${field2.cName} ${complaint(field2, refused)}`);
  }
  throw new Error(`${command2.name} has forbidden bits in no field`);
}
function refusedBits(field2, value) {
  if (typeof value === "object") return BigInt(Array.from(value).find((element) => element) ?? 0);
  return BigInt(value) & BigInt.asUintN(field2.size * 8, BigInt(forbiddenBitsOf(field2)));
}
function complaint(field2, refused) {
  if (field2.forbids === "any bit") return `is ${hex(refused)}: it is reserved and must be 0`;
  const known = Object.keys(field2.names);
  if (known.length === 0) return `is ${hex(refused)}: no flag is defined, it must be 0`;
  return `has ${hex(refused)}, which is none of ${known.join(", ")}`;
}

// src/iommufd/call.ts
var Call = class {
  context;
  caller;
  #command;
  #address = 0;
  #callerSize = 0;
  constructor(context) {
    this.context = context;
  }
  /** Makes this object the call that is under way now. There is one per context, reused. */
  begin(caller, command2, address2, callerSize) {
    this.caller = caller;
    this.#command = command2;
    this.#address = address2;
    this.#callerSize = callerSize;
  }
  /**
   * Writes the struct back to the caller.
   * @throws EFAULT when the caller's struct can be read but not written
   */
  respond() {
    respond(this.caller.memory, this.#address, this.#command, this.#callerSize);
  }
  /**
   * Writes the struct back as it came. Who is about to do what can't be taken back, as handing out an fd, calls it
   * before any output is set.
   * @throws EFAULT when respond() would
   */
  checkRespond() {
    this.respond();
  }
  /** Writes one field of it back. */
  respondField(name) {
    respondField(this.caller.memory, this.#address, this.#command, name);
  }
};

// src/memory/runs.ts
var Runs = class {
  /** First page frame number of each run (frames of 4096 bytes). */
  frame = new Float64Array(16);
  /** Length of each run in frames. */
  count = new Float64Array(16);
  length = 0;
  clear() {
    this.length = 0;
  }
  /** Appends a run; one that continues the last run makes it longer instead. */
  add(frame, count) {
    const last = this.length - 1;
    if (last >= 0 && this.frame[last] + this.count[last] === frame) {
      this.count[last] += count;
      return;
    }
    if (this.length === this.frame.length) this.#grow();
    this.frame[this.length] = frame;
    this.count[this.length] = count;
    this.length++;
  }
  #grow() {
    const frame = new Float64Array(this.frame.length * 2);
    const count = new Float64Array(this.count.length * 2);
    frame.set(this.frame);
    count.set(this.count);
    this.frame = frame;
    this.count = count;
  }
};

// src/iommufd/area.ts
var runs = new Runs();
var Area = class {
  /** First and last IOVA, in bytes. */
  first;
  last;
  pages;
  /** The page of `pages` that the first byte lies in, and where in it. */
  index;
  pageOffset;
  /** What DMA may do: READ, WRITE, CACHE of pagetable/format.ts. */
  protection;
  /** Whether domains show it, so that its pages are held for them. */
  inDomains = false;
  /** Pins of in-kernel users, and how many of them forbid an unmap. */
  accesses = 0;
  locks = 0;
  /** An unmap waits for the accesses to go: no new ones. */
  accessPrevented = false;
  constructor(first, length, pages, startByte, protection) {
    this.first = first;
    this.last = first + length - 1n;
    this.pages = pages;
    this.index = Number(startByte >> 12n);
    this.pageOffset = Number(startByte & 0xfffn);
    this.protection = protection;
  }
  /** In bytes. */
  get length() {
    return this.last - this.first + 1n;
  }
  /** The page of `pages` that the last byte lies in. */
  get lastIndex() {
    return this.indexOf(this.last);
  }
  /** The page of `pages` that an IOVA of this area shows. */
  indexOf(iova) {
    return this.index + Math.floor((Number(iova - this.first) + this.pageOffset) / PAGE_SIZE);
  }
  /** The byte of `pages` that an IOVA of this area shows. */
  startByte(iova) {
    return (BigInt(this.index) << 12n) + BigInt(this.pageOffset) + (iova - this.first);
  }
  /**
   * Maps the area, whose pages are held, into a domain.
   * @param smallPagesOnly maps every page of 4096 bytes by itself, so that any of them can be unmapped later
   * @throws what the page table throws; the domain is then as before
   */
  map(domain, smallPagesOnly) {
    const granule = domain.table.format.granuleLg2;
    const perPage = 2 ** (PAGE_SHIFT - granule);
    const sizes = smallPagesOnly ? domain.pageSizes & BigInt(2 * PAGE_SIZE - 1) : domain.pageSizes;
    const start = Number(this.first >> BigInt(granule));
    const end = start + Number(this.length >> BigInt(granule));
    let skip = this.pageOffset / 2 ** granule;
    let at = start;
    runs.clear();
    this.pages.runs(this.index, this.lastIndex, runs);
    try {
      for (let i = 0; i < runs.length; i++) {
        const count = Math.min(runs.count[i] * perPage - skip, end - at);
        domain.map(at, runs.frame[i] * perPage + skip, count, this.protection, sizes);
        at += count;
        skip = 0;
      }
    } catch (error) {
      if (at > start) domain.table.unmap(start, at - start);
      throw error;
    }
  }
  /** Takes the area out of a domain that shows it. */
  unmap(domain) {
    const granule = domain.table.format.granuleLg2;
    domain.table.unmap(Number(this.first >> BigInt(granule)), Number(this.length >> BigInt(granule)));
  }
};

// src/iommufd/interval-tree.ts
var BLOCK = 128;
var Block = class {
  pages = new Float64Array(BLOCK);
  offsets = new Uint16Array(BLOCK);
  values = [];
};
var IntervalTree = class {
  /** None before the first insert; after that at least one, and only a single one can be empty. */
  #blocks = [];
  #size = 0;
  // Where the last search ended: the block, and the place in it.
  #block = 0;
  #place = 0;
  get size() {
    return this.#size;
  }
  /** Adds an interval that overlaps none of the others. */
  insert(value) {
    const page = Number(value.first >> 12n);
    const offset = Number(value.first & 0xfffn);
    if (this.#blocks.length === 0) this.#blocks.push(new Block());
    this.#seek(page, offset);
    let block = this.#blocks[this.#block];
    let place = this.#place + 1;
    if (block.values.length === BLOCK) {
      this.#split(this.#block);
      if (place > BLOCK / 2) {
        this.#block++;
        place -= BLOCK / 2;
      }
      block = this.#blocks[this.#block];
    }
    block.pages.copyWithin(place + 1, place, block.values.length);
    block.offsets.copyWithin(place + 1, place, block.values.length);
    block.pages[place] = page;
    block.offsets[place] = offset;
    block.values.splice(place, 0, value);
    this.#size++;
  }
  /** Takes an interval out that is in. */
  remove(value) {
    this.#seekTo(value.first);
    const block = this.#blocks[this.#block];
    block.pages.copyWithin(this.#place, this.#place + 1, block.values.length);
    block.offsets.copyWithin(this.#place, this.#place + 1, block.values.length);
    block.values.splice(this.#place, 1);
    if (block.values.length === 0 && this.#blocks.length > 1) this.#blocks.splice(this.#block, 1);
    this.#size--;
  }
  /** The first interval that has a byte in first..last. */
  firstIn(first, last) {
    if (this.#blocks.length === 0) return void 0;
    this.#seekTo(first);
    const before = this.#blocks[this.#block].values[this.#place];
    if (before !== void 0 && before.last >= first) return before;
    const after = this.#valueAfter();
    return after !== void 0 && after.first <= last ? after : void 0;
  }
  /** The interval that follows this one, if it begins at or before `last`. */
  next(value, last) {
    this.#seekTo(value.first);
    const after = this.#valueAfter();
    return after !== void 0 && after.first <= last ? after : void 0;
  }
  /** All of them, in order. The tree must not change meanwhile. */
  *[Symbol.iterator]() {
    for (const block of this.#blocks) yield* block.values;
  }
  #valueAfter() {
    const values = this.#blocks[this.#block].values;
    if (this.#place + 1 < values.length) return values[this.#place + 1];
    return this.#blocks[this.#block + 1]?.values[0];
  }
  #seekTo(iova) {
    this.#seek(Number(iova >> 12n), Number(iova & 0xfffn));
  }
  /** Finds the last interval that begins at or before a place; #place is -1 (in block 0) when there is none. */
  #seek(page, offset) {
    const blocks = this.#blocks;
    let low = 0;
    let high = blocks.length - 1;
    while (low < high) {
      const middle = low + high + 1 >>> 1;
      const block2 = blocks[middle];
      if (block2.pages[0] < page || block2.pages[0] === page && block2.offsets[0] <= offset) low = middle;
      else high = middle - 1;
    }
    this.#block = low;
    const block = blocks[low];
    let from = 0;
    let to = block.values.length;
    while (from < to) {
      const middle = from + to >>> 1;
      if (block.pages[middle] < page || block.pages[middle] === page && block.offsets[middle] <= offset)
        from = middle + 1;
      else to = middle;
    }
    this.#place = from - 1;
  }
  #split(at) {
    const lower = this.#blocks[at];
    const upper = new Block();
    upper.pages.set(lower.pages.subarray(BLOCK / 2));
    upper.offsets.set(lower.offsets.subarray(BLOCK / 2));
    upper.values.push(...lower.values.splice(BLOCK / 2));
    this.#blocks.splice(at + 1, 0, upper);
  }
};

// src/iommufd/iova-ranges.ts
var LAST_IOVA = (1n << 64n) - 1n;
var PAGE2 = 4096n;
var HUGE_PAGE = 1n << 21n;
var IovaRanges = class {
  /** By first IOVA. They may overlap: several devices have the same window. */
  #reserved = [];
  /** By first IOVA, without overlap. */
  #allowed = [];
  /** Takes a range away until unreserve(owner). */
  reserve(first, last, owner) {
    let at = this.#reserved.length;
    while (at > 0 && this.#reserved[at - 1].first > first) at--;
    this.#reserved.splice(at, 0, { first, last, owner });
  }
  /** Gives back everything that was reserved for an owner. */
  unreserve(owner) {
    for (let i = this.#reserved.length - 1; i >= 0; i--)
      if (this.#reserved[i].owner === owner) this.#reserved.splice(i, 1);
  }
  /** The first reserved range that has a byte of first..last. */
  reservedIn(first, last) {
    return firstIn(this.#reserved, first, last);
  }
  /** The first allowed range that has a byte of first..last. */
  allowedIn(first, last) {
    return firstIn(this.#allowed, first, last);
  }
  /** Replaces the allowed ranges, which are sorted and don't overlap. None means that everything is allowed. */
  allow(ranges) {
    this.#allowed = ranges;
  }
  /** What is not reserved, in order. */
  *usable() {
    yield* gaps(this.#reserved, 0n, LAST_IOVA);
  }
  /**
   * Chooses an IOVA: the lowest one that is allowed, not reserved, not in `taken`, and never 0. It keeps the alignment
   * that the memory has, as far as the length gives a reason to.
   * @param address where the memory is, in bytes: low bits that the IOVA will share
   * @param taken the intervals that are in use, in order
   * @returns undefined when there is no room
   */
  choose(address2, length, taken) {
    const alignment = alignmentFor(address2, length);
    const offset = address2 % PAGE2;
    for (const allowed of this.#allowedSpans()) {
      const from = lowestFit(allowed.first, allowed.last, length, alignment, offset);
      if (from === void 0) continue;
      for (const free of freeSpans(this.#reserved, taken(), from, allowed.last)) {
        const iova = lowestFit(free.first, free.last, length, alignment, offset);
        if (iova !== void 0) return iova;
      }
    }
    return void 0;
  }
  /** The allowed ranges with neighbours joined; without any, all but the first and the last page. */
  *#allowedSpans() {
    if (this.#allowed.length === 0) yield { first: PAGE2, last: LAST_IOVA - PAGE2 };
    else
      for (const span of joined(this.#allowed)) {
        const first = span.first < PAGE2 ? PAGE2 : span.first;
        const last = span.last > LAST_IOVA - PAGE2 ? LAST_IOVA - PAGE2 : span.last;
        if (first <= last) yield { first, last };
      }
  }
};
function alignmentFor(address2, length) {
  let alignment = 1n;
  while (alignment < length && alignment < HUGE_PAGE) alignment <<= 1n;
  const ofAddress = address2 & -address2;
  return address2 !== 0n && ofAddress < alignment ? ofAddress : alignment;
}
function lowestFit(first, last, length, alignment, offset) {
  const aligned = first + alignment - 1n & ~(alignment - 1n) | offset;
  return aligned >= last || last - aligned < length - 1n ? void 0 : aligned;
}
function firstIn(sorted, first, last) {
  return sorted.find((range2) => range2.first <= last && range2.last >= first);
}
function* joined(sorted) {
  let span;
  for (const range2 of sorted) {
    if (span !== void 0 && range2.first <= span.last + 1n) {
      if (range2.last > span.last) span.last = range2.last;
      continue;
    }
    if (span !== void 0) yield span;
    span = { first: range2.first, last: range2.last };
  }
  if (span !== void 0) yield span;
}
function* gaps(sorted, first, last) {
  let at = first;
  for (const used of joined(sorted)) {
    if (used.last < at) continue;
    if (used.first > last) break;
    if (used.first > at) yield { first: at, last: used.first - 1n };
    at = used.last + 1n;
    if (at > last) return;
  }
  if (at <= last) yield { first: at, last };
}
function* freeSpans(reserved, taken, first, last) {
  for (const gap2 of gaps(taken, first, last)) yield* gaps(reserved, gap2.first, gap2.last);
}

// src/iommufd/io-pagetable.ts
var IoPagetable = class {
  areas = new IntervalTree();
  ranges = new IovaRanges();
  /** Domains that show every area. The last one moves into the place of one that goes. */
  domains = [];
  accesses = [];
  /** What IOVAs, lengths and offsets in pages must be multiples of, in bytes: what the domains and accesses need. */
  alignment = 1n;
  /** IOMMU_OPTION_HUGE_PAGES 0: every page of 4096 bytes is mapped by itself. */
  largePagesDisabled = false;
  #platform;
  #name;
  /** @param name what reasons call it: "IOAS 1" */
  constructor(platform, name) {
    this.#platform = platform;
    this.#name = name;
  }
  /**
   * Maps slices one after the other at an IOVA.
   * @param iova in bytes; undefined to have one chosen
   * @returns where they begin
   * @throws EINVAL for alignment or a reserved range, EEXIST for one that is taken, EOVERFLOW, EPERM for pages that are
   * mapped read-only, ENOSPC when there is no room, and what pinning and mapping throw; nothing is mapped then
   */
  map(slices, length, iova, protection) {
    if (length === 0n || length & this.alignment - 1n)
      throw new Errno("EINVAL", `length ${hex(length)} is not a multiple of ${this.#alignmentInWords()}`);
    const first = iova === void 0 ? this.#choose(slices[0], length) : this.#check(iova, length);
    const areas = [];
    try {
      for (const slice of slices) {
        const at = areas.length === 0 ? first : areas[areas.length - 1].last + 1n;
        areas.push(this.#insert(slice, at, protection));
      }
      this.#fillAll(areas);
    } catch (error) {
      for (const area of areas) this.areas.remove(area);
      throw error;
    }
    return first;
  }
  /**
   * Unmaps the areas in a range; the range must not cut one in two.
   * @param done counts the bytes that were unmapped, also those before an error
   * @returns the bytes that were unmapped: 0 when there were no areas
   * @throws ENOENT for an area that lies in it only in part, EBUSY for one that is locked; areas before it are gone then
   */
  unmap(first, last, done = { bytes: 0n }) {
    let from = first;
    for (let area = this.areas.firstIn(from, last); area !== void 0; area = this.areas.firstIn(from, last)) {
      if (area.locks > 0)
        throw new Errno("EBUSY", `the mapping ${inWords(area)} is locked by a hardware queue or another object`);
      if (area.first < from || area.last > last)
        throw new Errno(
          "ENOENT",
          `the range ${hex(first)} to ${hex(last)} cuts the mapping ${inWords(area)} in two: mappings are unmapped whole`
        );
      this.#evictAccesses(area);
      this.#remove(area);
      done.bytes += area.length;
      if (area.last >= last) break;
      from = area.last + 1n;
    }
    return done.bytes;
  }
  /**
   * The slices behind a range, which mappings must cover without a gap.
   * @throws ENOENT for a gap, EINVAL for an empty range, EOVERFLOW
   */
  slices(iova, length) {
    if (length === 0n) throw new Errno("EINVAL", "length is 0");
    const last = iova + length - 1n;
    if (last > LAST_IOVA)
      throw new Errno("EOVERFLOW", `IOVA ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`);
    const slices = [];
    let at = iova;
    for (const area of this.contiguous(iova, last)) {
      const end = area.last < last ? area.last : last;
      slices.push({ pages: area.pages, startByte: area.startByte(at), length: end - at + 1n });
      at = end + 1n;
    }
    if (at <= last) throw new Errno("ENOENT", `nothing is mapped at IOVA ${hex(at)} of ${this.#name}`);
    return slices;
  }
  /** The areas that cover first..last from `first` on, up to the first gap. */
  *contiguous(first, last) {
    let area = this.areas.firstIn(first, first);
    while (area !== void 0) {
      yield area;
      if (area.last >= last) return;
      const next = this.areas.next(area, last);
      area = next !== void 0 && next.first === area.last + 1n ? next : void 0;
    }
  }
  /**
   * Lets a domain mirror the map: all areas are mapped into it.
   * @throws EINVAL when its smallest page is larger than 4096 bytes, EADDRINUSE when an area or an allowed range lies
   * outside its aperture or isn't aligned for it, and what pinning and mapping throw; it mirrors nothing then
   */
  addDomain(domain) {
    const smallest = domain.pageSizes & -domain.pageSizes;
    if (smallest > PAGE_SIZE)
      throw new Errno(
        "EINVAL",
        `the domain's smallest page is ${hex(smallest)} bytes, larger than the CPU's ${hex(PAGE_SIZE)}`
      );
    const alignment = smallest > this.alignment ? smallest : this.alignment;
    if (alignment !== this.alignment) this.#checkAlignment(alignment);
    const { first, last } = domain.aperture;
    try {
      if (first !== 0n) this.reserve(0n, first - 1n, domain);
      if (last !== LAST_IOVA) this.reserve(last + 1n, LAST_IOVA, domain);
      this.#fillDomain(domain);
    } catch (error) {
      this.ranges.unreserve(domain);
      throw error;
    }
    this.alignment = alignment;
    this.domains.push(domain);
  }
  /** Unmaps everything from a domain, and lets go of it. The last domain's pages are unpinned. */
  removeDomain(domain) {
    const at = this.domains.indexOf(domain);
    const tail2 = this.domains.pop();
    if (at < this.domains.length) this.domains[at] = tail2;
    for (const area of this.areas) {
      area.unmap(domain);
      if (this.domains.length === 0) this.#letGo(area);
    }
    this.ranges.unreserve(domain);
    this.#recalculateAlignment();
  }
  /**
   * Takes a range of IOVA away.
   * @throws EADDRINUSE when something is mapped there, or the range was promised by ALLOW_IOVAS
   */
  reserve(first, last, owner) {
    const area = this.areas.firstIn(first, last);
    if (area !== void 0)
      throw new Errno(
        "EADDRINUSE",
        `${hex(first)} to ${hex(last)} can't be reserved in ${this.#name}: ${inWords(area)} is mapped`
      );
    const allowed = this.ranges.allowedIn(first, last);
    if (allowed !== void 0)
      throw new Errno(
        "EADDRINUSE",
        `${hex(first)} to ${hex(last)} can't be reserved in ${this.#name}: ALLOW_IOVAS promised ${inWords(allowed)}`
      );
    this.ranges.reserve(first, last, owner);
  }
  /**
   * Takes away what a device can't use.
   * @returns where the kernel may map the page of a software MSI, if the device needs one
   * @throws EADDRINUSE; nothing is reserved then
   */
  reserveForDevice(device) {
    let softwareMsi;
    try {
      for (const region of device.driver.reservedRegions?.(device) ?? []) {
        if (region.kind === "direct-relaxable") continue;
        if (region.kind === "software-msi") softwareMsi = region.first;
        this.reserve(region.first, region.last, device);
      }
    } catch (error) {
      this.ranges.unreserve(device);
      throw error;
    }
    return softwareMsi;
  }
  /**
   * Makes ranges available for good: nothing that would narrow them is let in.
   * @throws EADDRINUSE when one of them is reserved already; nothing changes then
   */
  allow(ranges) {
    for (const range2 of ranges) {
      const reserved = this.ranges.reservedIn(range2.first, range2.last);
      if (reserved !== void 0)
        throw new Errno("EADDRINUSE", `${inWords(range2)} can't be allowed: ${inWords(reserved)} is reserved`);
    }
    this.ranges.allow(ranges);
  }
  /** @throws EADDRINUSE when an area doesn't fit the alignment that the access needs */
  addAccess(access2) {
    this.accesses.push(access2);
    try {
      this.#recalculateAlignment();
    } catch (error) {
      this.accesses.pop();
      throw error;
    }
  }
  removeAccess(access2) {
    this.accesses.splice(this.accesses.indexOf(access2), 1);
    this.#recalculateAlignment();
  }
  enableLargePages() {
    this.largePagesDisabled = false;
    this.#recalculateAlignment();
  }
  /** @throws EINVAL when domains have mappings already, EADDRINUSE when an area isn't aligned to 4096 bytes */
  disableLargePages() {
    if (this.largePagesDisabled) return;
    if (this.domains.length > 0 && this.areas.size > 0)
      throw new Errno(
        "EINVAL",
        `${this.#name} has mappings in domains already: they can't be made of small pages afterwards`
      );
    this.largePagesDisabled = true;
    try {
      this.#recalculateAlignment();
    } catch (error) {
      this.largePagesDisabled = false;
      throw error;
    }
  }
  #check(iova, length) {
    if (iova & this.alignment - 1n)
      throw new Errno("EINVAL", `iova ${hex(iova)} is not a multiple of ${this.#alignmentInWords()}`);
    const last = iova + length - 1n;
    if (last > LAST_IOVA)
      throw new Errno("EOVERFLOW", `iova ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`);
    const reserved = this.ranges.reservedIn(iova, last);
    if (reserved !== void 0)
      throw new Errno(
        "EINVAL",
        `${hex(iova)} to ${hex(last)} touches ${inWords(reserved)}, which is reserved in ${this.#name}`
      );
    const area = this.areas.firstIn(iova, last);
    if (area !== void 0)
      throw new Errno(
        "EEXIST",
        `${hex(iova)} to ${hex(last)} touches ${inWords(area)}, which is mapped in ${this.#name}`
      );
    return iova;
  }
  #choose(slice, length) {
    if (length >= LAST_IOVA / 2n) throw new Errno("EOVERFLOW", `no IOVA is chosen for a length of ${hex(length)}`);
    const address2 = slice.pages.start + slice.startByte;
    const alignment = alignmentFor(address2, length);
    if (alignment < this.alignment)
      throw new Errno(
        "EINVAL",
        `the memory at ${hex(address2)} is aligned to ${hex(alignment)} only, less than ${this.#alignmentInWords()}`
      );
    const iova = this.ranges.choose(address2, length, () => this.areas);
    if (iova === void 0)
      throw new Errno("ENOSPC", `${this.#name} has no room for ${hex(length)} bytes aligned to ${hex(alignment)}`);
    return iova;
  }
  #insert(slice, iova, protection) {
    if (protection & WRITE && !slice.pages.writable)
      throw new Errno("EPERM", "the mapping that is copied is read-only, and the copy is to be writeable");
    const area = new Area(iova, slice.length, slice.pages, slice.startByte, protection);
    if (BigInt(area.pageOffset) & this.alignment - 1n)
      throw new Errno(
        "EINVAL",
        `the memory begins ${hex(area.pageOffset)} bytes into a page, which is not a multiple of ${this.#alignmentInWords()}`
      );
    this.areas.insert(area);
    return area;
  }
  /** Shows new areas in all domains, or in none. */
  #fillAll(areas) {
    if (this.domains.length === 0) return;
    let filled = 0;
    try {
      for (; filled < areas.length; filled++) this.#fillAreaInDomains(areas[filled]);
    } catch (error) {
      for (const area of areas.slice(0, filled)) this.#emptyArea(area);
      throw error;
    }
  }
  #fillAreaInDomains(area) {
    const { pages } = area;
    pages.hold(area.index, area.lastIndex);
    let mapped = 0;
    try {
      for (; mapped < this.domains.length; mapped++) area.map(this.domains[mapped], this.largePagesDisabled);
      pages.account();
    } catch (error) {
      for (const domain of this.domains.slice(0, mapped)) area.unmap(domain);
      pages.drop(area.index, area.lastIndex);
      throw error;
    }
    area.inDomains = true;
  }
  #emptyArea(area) {
    if (!area.inDomains) return;
    for (const domain of this.domains) area.unmap(domain);
    this.#letGo(area);
  }
  /** The area's pages are no longer needed by any domain. */
  #letGo(area) {
    area.pages.drop(area.index, area.lastIndex);
    area.inDomains = false;
  }
  /** Shows all areas in a domain, or none. */
  #fillDomain(domain) {
    const done = [];
    try {
      for (const area of this.areas) {
        this.#fillAreaInDomain(area, domain);
        done.push(area);
      }
    } catch (error) {
      for (const area of done) {
        area.unmap(domain);
        if (this.domains.length === 0) this.#letGo(area);
      }
      throw error;
    }
  }
  #fillAreaInDomain(area, domain) {
    if (area.inDomains) {
      area.map(domain, this.largePagesDisabled);
      return;
    }
    const { pages } = area;
    pages.hold(area.index, area.lastIndex);
    let mapped = false;
    try {
      area.map(domain, this.largePagesDisabled);
      mapped = true;
      pages.account();
    } catch (error) {
      if (mapped) area.unmap(domain);
      pages.drop(area.index, area.lastIndex);
      throw error;
    }
    area.inDomains = true;
  }
  #remove(area) {
    this.#emptyArea(area);
    this.areas.remove(area);
  }
  /**
   * Has in-kernel users let go of an area that is to be unmapped.
   * @throws EDEADLK when they don't
   */
  #evictAccesses(area) {
    if (area.accesses === 0) return;
    area.accessPrevented = true;
    for (const access2 of [...this.accesses]) access2.unmap?.(area.first, area.last);
    if (area.accesses > 0) this.#platform.settle();
    if (area.accesses > 0)
      throw new Errno("EDEADLK", `an in-kernel user keeps ${inWords(area)} pinned after it was asked to let go`);
  }
  /** @throws EADDRINUSE when an area doesn't fit */
  #checkAlignment(alignment) {
    const mask = alignment - 1n;
    for (const area of this.areas)
      if (area.first & mask || area.length & mask || BigInt(area.pageOffset) & mask)
        throw new Errno(
          "EADDRINUSE",
          `${inWords(area)} is mapped in ${this.#name}, and is not aligned to ${hex(alignment)}`
        );
  }
  #recalculateAlignment() {
    let alignment = this.largePagesDisabled ? BigInt(PAGE_SIZE) : 1n;
    for (const domain of this.domains) {
      const smallest = domain.pageSizes & -domain.pageSizes;
      if (smallest > alignment) alignment = smallest;
    }
    for (const access2 of this.accesses) if (access2.iovaAlignment > alignment) alignment = access2.iovaAlignment;
    if (alignment > this.alignment) this.#checkAlignment(alignment);
    this.alignment = alignment;
  }
  #alignmentInWords() {
    const why = this.domains.length > 0 ? "the smallest page of its domains" : "what its users need";
    return `${hex(this.alignment)}, the alignment of ${this.#name} (${why})`;
  }
};
function inWords(interval) {
  return `${hex(interval.first)} to ${hex(interval.last)}`;
}

// src/iommufd/object.ts
var IommufdObject = class {
  id;
  /** Who needs it: the table itself, and every object and driver that holds on to it. Destroyed at one. */
  users = 1;
  constructor(id) {
    this.id = id;
  }
  /** For a reason: "IOAS 1". */
  toString() {
    return `${this.kind} ${this.id}`;
  }
};
var LAST_ID = 2147483647;
var ObjectTable = class {
  /** By id; `null` is an id that is taken by something that is not finished yet, or no longer there. */
  #slots = [void 0];
  /** No id below this is free. */
  #lowestFree = 1;
  #size = 0;
  /** Ids in use. */
  get size() {
    return this.#size;
  }
  /**
   * Takes the lowest free id. Nothing can be found there before install().
   * @throws ENOMEM when all ids are taken
   */
  reserve() {
    let id = this.#lowestFree;
    while (id < this.#slots.length && this.#slots[id] !== void 0) id++;
    if (id > LAST_ID) throw new Errno("ENOMEM", "all object ids of this context are taken");
    this.#slots[id] = null;
    this.#lowestFree = id + 1;
    this.#size++;
    return id;
  }
  /** Gives back an id that was reserved, for an object that was never installed. */
  cancel(id) {
    this.#slots[id] = void 0;
    this.#lowestFree = Math.min(this.#lowestFree, id);
    this.#size--;
    while (this.#slots.length > 1 && this.#slots.at(-1) === void 0) this.#slots.pop();
  }
  /** From now on the object can be found, and destroyed. Nothing of its making can fail any more. */
  install(object) {
    this.#slots[object.id] = object;
  }
  /** The finished object of that id. */
  find(id) {
    return this.#slots[id] ?? void 0;
  }
  /** @throws ENOENT when there is no object of that id */
  any(id, field2) {
    const object = this.#slots[id];
    if (!object) throw absent(id, field2);
    return object;
  }
  /**
   * @param field the argument that has the id, for the reason
   * @throws ENOENT when there is no object of that id, or it is of another class
   */
  get(id, type, field2) {
    const object = this.#slots[id];
    if (object instanceof type) return object;
    throw object ? new Errno("ENOENT", `${field2} is ${id}, and object ${id} is of another kind: ${object.kind}`) : absent(id, field2);
  }
  /**
   * Destroys an object that only the table uses.
   * @throws EBUSY when something else uses it
   */
  remove(object) {
    if (object.users !== 1)
      throw new Errno(
        "EBUSY",
        `${object} is in use: ${object.users - 1} other object${object.users === 2 ? "" : "s"} or drivers hold it`
      );
    this.cancel(object.id);
    object.destroy();
  }
  /** Drops one use, and destroys the object when that was the last one. For objects that nobody asked for by name. */
  putAndTryDestroy(object) {
    object.users--;
    if (object.users === 1) this.remove(object);
  }
  /** Destroys an object that the caller uses, and is done with; so nobody else uses it, or is made to let go. */
  destroyUser(object) {
    object.preDestroy?.();
    this.putAndTryDestroy(object);
  }
  /** The same, but the id stays taken: user space still has it, and would mean this object by it and not another. */
  tombstoneUser(object) {
    object.preDestroy?.();
    object.users--;
    if (object.users !== 1) return;
    this.#slots[object.id] = null;
    object.destroy();
  }
  /** Destroys everything, users before what they use, lowest id first. */
  removeAll() {
    for (let destroyed = true; destroyed; ) {
      destroyed = false;
      for (let id = 1; id < this.#slots.length; id++) {
        const object = this.#slots[id];
        if (object?.users !== 1) continue;
        this.remove(object);
        destroyed = true;
      }
    }
    for (let id = this.#slots.length - 1; id > 0; id--) if (this.#slots[id] === null) this.cancel(id);
  }
  /** The finished objects, by id. */
  *[Symbol.iterator]() {
    for (const object of this.#slots) if (object) yield object;
  }
};
function absent(id, field2) {
  return new Errno("ENOENT", `${field2} is ${id}, and there is no object ${id}`);
}

// src/iommufd/pages.ts
var USER_SPACE_END = 2 ** 47 - PAGE_SIZE;
var LONGEST = (1n << 64n) - 1n - BigInt(PAGE_SIZE);
var PIN_BATCH = 8192;
var found = new Extents();
var Pages = class {
  /** The first page's place in bytes: its low 12 bits are zero. Exact, because it decides about alignment. */
  start;
  /** Number of pages. */
  count;
  /** Whether they may be mapped writable. They are pinned for writing then, even by those who only read. */
  writable;
  accountMode;
  /** The process that is accounted; IOAS_CHANGE_PROCESS changes it. */
  owner;
  space;
  #platform;
  /** In order, without overlap. */
  #pinned = [];
  /** Pages that are pinned, and how many of them are accounted. */
  #pinnedCount = 0;
  #accounted = 0;
  /**
   * @param start byte that the mapping begins with, in the source; @param length in bytes
   * @throws EINVAL for a length that can't be mapped
   */
  constructor(platform, caller, start, length, writable) {
    if (length === 0n || length > LONGEST) throw new Errno("EINVAL", `a length of ${hex(length)} can't be mapped`);
    this.#platform = platform;
    this.start = start & ~0xfffn;
    this.count = Number((start & 0xfffn) + length + 0xfffn >> 12n);
    this.writable = writable;
    this.owner = caller.owner;
    this.space = caller.memory;
    this.accountMode = caller.capable("CAP_IPC_LOCK") ? "none" : "user";
  }
  /** Pages that are pinned now. */
  get pinned() {
    return this.#pinnedCount;
  }
  /**
   * Makes the pages first..last (both included) stay where they are for one holder more; drop() undoes it. They are not
   * accounted before account() is called.
   * @throws what finding them throws; nothing is held then
   */
  hold(first, last) {
    found.clear();
    const gaps2 = this.#gaps(first, last);
    for (const gap2 of gaps2) this.find(gap2.first, gap2.count, found);
    this.#cutAt(first);
    this.#cutAt(last + 1);
    for (const stretch of this.#between(first, last)) stretch.holders++;
    let extent = 0;
    let used = 0;
    for (const gap2 of gaps2) {
      for (let done = 0; done < gap2.count; ) {
        const length = Math.min(found.count[extent] - used, gap2.count - done);
        this.#pin(gap2.first + done, length, found.backing[extent], found.page[extent] + used);
        done += length;
        used += length;
        if (used === found.count[extent]) {
          extent++;
          used = 0;
        }
      }
    }
  }
  /** Undoes one hold() of the same range. What nobody holds any more is unpinned, and no longer accounted. */
  drop(first, last) {
    this.#cutAt(first);
    this.#cutAt(last + 1);
    const from = this.#firstAt(first);
    let to = from;
    let kept = from;
    for (; to < this.#pinned.length && this.#pinned[to].first <= last; to++) {
      const stretch = this.#pinned[to];
      stretch.holders--;
      if (stretch.holders > 0) this.#pinned[kept++] = stretch;
      else {
        this.#platform.frames.unpin(stretch.backing, stretch.page, stretch.count);
        this.#pinnedCount -= stretch.count;
      }
    }
    this.#pinned.splice(kept, to - kept);
    const surplus = this.#accounted - this.#pinnedCount;
    if (surplus > 0) this.#platform.memlock.uncharge(this.accountMode, this.owner, this.space, surplus);
    this.#accounted -= Math.max(0, surplus);
  }
  /**
   * Accounts what has been pinned since the last time.
   * @throws ENOMEM when that exceeds RLIMIT_MEMLOCK; the caller then drops what it held
   */
  account() {
    const more = this.#pinnedCount - this.#accounted;
    if (more <= 0) return;
    try {
      this.#platform.memlock.charge(this.accountMode, this.owner, this.space, more);
    } catch {
      this.#platform.settle();
      this.#platform.memlock.charge(this.accountMode, this.owner, this.space, more);
    }
    this.#accounted = this.#pinnedCount;
  }
  /** Pages that are accounted now. */
  get accounted() {
    return this.#accounted;
  }
  /**
   * Makes the pages another process's.
   * @param charged whether it has been charged for them, so that the one before is to be relieved
   */
  changeOwner(caller, charged) {
    if (charged) this.#platform.memlock.uncharge(this.accountMode, this.owner, this.space, this.#accounted);
    this.owner = caller.owner;
    this.space = caller.memory;
  }
  /** Appends the frames of pages that are held, first..last. */
  runs(first, last, into) {
    for (const stretch of this.#between(first, last)) {
      const from = Math.max(first, stretch.first);
      const to = Math.min(last + 1, stretch.first + stretch.count);
      this.#platform.frames.runs(stretch.backing, stretch.page + from - stretch.first, to - from, into);
    }
  }
  /** Appends where pages that are held lie, first..last. */
  extents(first, last, into) {
    for (const stretch of this.#between(first, last)) {
      const from = Math.max(first, stretch.first);
      const to = Math.min(last + 1, stretch.first + stretch.count);
      into.add(stretch.backing, stretch.page + from - stretch.first, to - from);
    }
  }
  #pin(first, count, backing, page) {
    this.#platform.frames.pin(backing, page, count);
    this.#pinnedCount += count;
    this.#pinned.splice(this.#firstAt(first), 0, { first, count, holders: 1, backing, page });
  }
  /** The parts of first..last that are not pinned. */
  #gaps(first, last) {
    const gaps2 = [];
    let at = first;
    for (const stretch of this.#between(first, last)) {
      if (stretch.first > at) gaps2.push({ first: at, count: stretch.first - at });
      at = stretch.first + stretch.count;
    }
    if (at <= last) gaps2.push({ first: at, count: last + 1 - at });
    return gaps2;
  }
  /** Stretches that have a page of first..last. */
  #between(first, last) {
    const from = this.#firstAt(first);
    let to = from;
    while (to < this.#pinned.length && this.#pinned[to].first <= last) to++;
    return this.#pinned.slice(from, to);
  }
  /** Index of the first stretch that ends after `page` or begins there or later. */
  #firstAt(page) {
    let low = 0;
    let high = this.#pinned.length;
    while (low < high) {
      const middle = low + high >>> 1;
      const stretch = this.#pinned[middle];
      if (stretch.first + stretch.count <= page) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  /** Makes sure that no stretch goes across the border before `page`. */
  #cutAt(page) {
    const at = this.#firstAt(page);
    const stretch = this.#pinned[at];
    if (stretch === void 0 || stretch.first >= page) return;
    const head = page - stretch.first;
    this.#pinned.splice(at + 1, 0, {
      first: page,
      count: stretch.count - head,
      holders: stretch.holders,
      backing: stretch.backing,
      page: stretch.page + head
    });
    stretch.count = head;
  }
};
var UserPages = class extends Pages {
  kind = "user";
  /**
   * The caller's memory from `address` on (bytes). Nothing is looked at yet.
   * @throws EOVERFLOW when the range wraps, EINVAL when it is empty
   */
  constructor(platform, caller, address2, length, writable) {
    if (address2 + length >= 1n << 64n)
      throw new Errno("EOVERFLOW", `user_va ${hex(address2)} + length ${hex(length)} goes beyond the 64-bit space`);
    super(platform, caller, address2, length, writable);
  }
  find(first, count, into) {
    const from = Number(this.start) + first * PAGE_SIZE;
    const batchEnd = from + Math.min(count, PIN_BATCH) * PAGE_SIZE;
    if (batchEnd >= 2 ** 64) throw new Errno("EOVERFLOW", "the memory's last page is the last one of the 64-bit space");
    if (batchEnd > USER_SPACE_END) throw new Errno("EFAULT", `${hex(this.start)} is not an address of user space`);
    if (!this.space.alive)
      throw new Errno("EFAULT", `${this.space.name} is gone, and with it the memory at ${hex(from)}`);
    this.space.resolve(from / PAGE_SIZE, count, this.writable, into);
  }
};
var FilePages = class extends Pages {
  kind = "file";
  #file;
  /** The file from byte `start` on. Nothing is looked at yet. @throws EINVAL when the range is empty */
  constructor(platform, caller, file, start, length, writable) {
    super(platform, caller, start, length, writable);
    this.#file = file;
  }
  find(first, count, into) {
    const file = this.#file;
    if (file.kind !== "shared-memory")
      throw new Errno("EINVAL", "the fd is not a memfd or another file of shared memory");
    if (this.start >= 1n << 63n) throw new Errno("EINVAL", `start ${hex(this.start)} is negative as a file offset`);
    const page = Number(this.start >> 12n) + first;
    const size = file.size();
    if ((page + count) * PAGE_SIZE > size)
      throw new Errno(
        "EINVAL",
        `${hex(page * PAGE_SIZE)} to ${hex((page + count) * PAGE_SIZE)} of ${file.backing.name} lies beyond its size, ${hex(size)}`
      );
    into.add(file.backing, page, count);
  }
};

// src/iommufd/ioas.ts
var Ioas = class extends IommufdObject {
  kind = "IOAS";
  map;
  /** The HWPTs that show this IOAS, in the order in which they were made. */
  hwpts = [];
  #context;
  constructor(context, id) {
    super(id);
    this.#context = context;
    this.map = new IoPagetable(context.platform, `IOAS ${id}`);
  }
  destroy() {
    this.map.unmap(0n, LAST_IOVA);
    if (this.#context.vfioIoas === this) this.#context.vfioIoas = void 0;
  }
};
function ioasAlloc(call, alloc) {
  const { context } = call;
  const id = context.objects.reserve();
  try {
    alloc.outIoasId = id;
    call.respond();
  } catch (error) {
    context.objects.cancel(id);
    throw error;
  }
  context.objects.install(new Ioas(context, id));
}
function ioasIovaRanges(call, query) {
  const ioas = call.context.objects.get(query.ioasId, Ioas, "ioas_id");
  const room = query.numIovas;
  const range2 = IovaRange.newView();
  let count = 0;
  for (const { first, last } of ioas.map.ranges.usable()) {
    if (count < room) {
      range2.start = first;
      range2.last = last;
      copyOut(call.caller.memory, query.allowedIovas + count * IovaRange.size, range2.bytes, "allowed_iovas");
    }
    count++;
  }
  query.numIovas = count;
  query.outIovaAlignment = ioas.map.alignment;
  call.respond();
  if (count > room) throw new Errno("EMSGSIZE", `${ioas} has ${count} ranges, and num_iovas has room for ${room}`);
}
function ioasAllowIovas(call, allow) {
  const ioas = call.context.objects.get(allow.ioasId, Ioas, "ioas_id");
  ioas.map.allow(readRanges(call, allow.allowedIovas, allow.numIovas));
}
function readRanges(call, address2, count) {
  const ranges = [];
  const range2 = IovaRange.newView();
  for (let i = 0; i < count; i++) {
    copyIn(call.caller.memory, address2 + i * IovaRange.size, range2.bytes, "allowed_iovas");
    const { start: first, last } = range2;
    if (first >= last)
      throw new Errno("EINVAL", `allowed_iovas[${i}] ends at ${hex(last)}, which is not after its start ${hex(first)}`);
    let at = 0;
    for (let end = ranges.length; at < end; ) {
      const middle = at + end >>> 1;
      if (ranges[middle].last < first) at = middle + 1;
      else end = middle;
    }
    if (at < ranges.length && ranges[at].first <= last)
      throw new Errno("EINVAL", `allowed_iovas[${i}], ${hex(first)} to ${hex(last)}, overlaps another of the ranges`);
    ranges.splice(at, 0, { first, last });
  }
  return ranges;
}
function ioasMap(call, map) {
  const { flags: flags2, length } = map;
  checkRange(map.iova, length);
  const protection = protectionOf(flags2);
  const ioas = call.context.objects.get(map.ioasId, Ioas, "ioas_id");
  map.iova = mapUserMemory(call, ioas, map.userVa, length, fixedIova(flags2, map.iova), protection);
  call.respond();
}
function ioasMapFile(call, map) {
  const { context, caller } = call;
  const { flags: flags2, length, start } = map;
  checkRange(map.iova, length);
  const protection = protectionOf(flags2);
  const ioas = context.objects.get(map.ioasId, Ioas, "ioas_id");
  if (length === 0n) throw new Errno("EINVAL", "length is 0");
  if (start + length - 1n > LAST_IOVA)
    throw new Errno("EOVERFLOW", `start ${hex(start)} + length ${hex(length)} goes beyond the 64-bit space`);
  const file = caller.file(map.fd);
  if (file === void 0) throw new Errno("EBADF", `fd ${map.fd} is not open`);
  const pages = new FilePages(context.platform, caller, file, start, length, (protection & WRITE) !== 0);
  map.iova = mapPages(context, ioas, pages, start & 0xfffn, length, fixedIova(flags2, map.iova), protection);
  call.respond();
}
function ioasCopy(call, copy) {
  const { context } = call;
  let { flags: flags2, srcIova } = copy;
  if (flags2 & IoasCopyFlags.ACCESS_SYZ) {
    const source2 = context.objects.find(copy.srcIoasId);
    if (source2 instanceof Ioas) srcIova = iovaOfNthArea(source2, srcIova);
    flags2 &= ~IoasCopyFlags.ACCESS_SYZ;
  }
  checkRange(srcIova, copy.length);
  checkRange(copy.dstIova, copy.length);
  const protection = protectionOf(flags2);
  const source = context.objects.get(copy.srcIoasId, Ioas, "src_ioas_id");
  const slices = source.map.slices(srcIova, copy.length);
  const destination = context.objects.get(copy.dstIoasId, Ioas, "dst_ioas_id");
  copy.dstIova = destination.map.map(slices, copy.length, fixedIova(flags2, copy.dstIova), protection);
  call.respond();
}
function ioasUnmap(call, unmap) {
  const { iova, length } = unmap;
  const ioas = call.context.objects.get(unmap.ioasId, Ioas, "ioas_id");
  const everything = iova === 0n && length === LAST_IOVA;
  if (everything) unmap.length = ioas.map.unmap(0n, LAST_IOVA);
  else {
    checkRange(iova, length);
    if (length === 0n) throw new Errno("EINVAL", "length is 0");
    if (iova + length - 1n > LAST_IOVA)
      throw new Errno("EOVERFLOW", `iova ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`);
    unmap.length = ioas.map.unmap(iova, iova + length - 1n);
    if (unmap.length === 0n)
      throw new Errno("ENOENT", `nothing is mapped from ${hex(iova)} to ${hex(iova + length - 1n)} in ${ioas}`);
  }
  call.respond();
}
function mapUserMemory({ context, caller }, ioas, userVa, length, iova, protection) {
  const pages = new UserPages(context.platform, caller, userVa, length, (protection & WRITE) !== 0);
  return mapPages(context, ioas, pages, userVa & 0xfffn, length, iova, protection);
}
function mapPages(context, ioas, pages, startByte, length, iova, protection) {
  if (context.accountMode === "mm" && pages.accountMode === "user") pages.accountMode = "mm";
  return ioas.map.map([{ pages, startByte, length }], length, iova, protection);
}
function fixedIova(flags2, iova) {
  return flags2 & IoasMapFlags.FIXED_IOVA ? iova : void 0;
}
function checkRange(iova, length) {
  if (iova === LAST_IOVA || length === LAST_IOVA)
    throw new Errno("EOVERFLOW", `an IOVA or a length of ${hex(LAST_IOVA)} is out of range`);
}
function protectionOf(flags2) {
  const readable = flags2 & IoasMapFlags.READABLE ? READ : 0;
  const writeable = flags2 & IoasMapFlags.WRITEABLE ? WRITE : 0;
  if (readable + writeable === 0)
    throw new Errno("EINVAL", "a mapping is READABLE, WRITEABLE or both: flags has neither");
  return readable | writeable | CACHE;
}
function iovaOfNthArea(ioas, packed) {
  let number2 = Number(packed & 0xffffffffn);
  for (const area of ioas.map.areas) {
    if (number2 === 0) return area.first + (packed >> 32n);
    number2--;
  }
  return 0n;
}

// src/iommufd/change-process.ts
function ioasChangeProcess(call) {
  const { caller } = call;
  const { memlock } = call.context.platform;
  const moving = /* @__PURE__ */ new Set();
  for (const ioas of call.context.objects) {
    if (!(ioas instanceof Ioas)) continue;
    for (const { pages } of ioas.map.areas) {
      if (pages.kind !== "file")
        throw new Errno("EINVAL", `${ioas} has a mapping of a process's memory: only those of IOAS_MAP_FILE can move`);
      moving.add(pages);
    }
  }
  const charges = /* @__PURE__ */ new Map();
  for (const pages of moving)
    if (mustMove(pages, call)) charges.set(pages.accountMode, (charges.get(pages.accountMode) ?? 0) + pages.accounted);
  const charged = [];
  try {
    for (const [mode, count] of charges) {
      memlock.charge(mode, caller.owner, caller.memory, count);
      charged.push([mode, count]);
    }
  } catch (error) {
    for (const [mode, count] of charged) memlock.uncharge(mode, caller.owner, caller.memory, count);
    throw error;
  }
  for (const pages of moving) pages.changeOwner(caller, mustMove(pages, call));
}
function mustMove(pages, call) {
  const { owner, memory } = call.caller;
  switch (pages.accountMode) {
    case "none":
      return false;
    case "mm":
      return pages.space !== memory;
    case "user":
      return pages.owner.uid !== owner.uid || pages.space !== memory;
  }
}

// src/iommufd/mmap-regions.ts
var MmapRegions = class {
  /** By offset, without overlap. */
  #regions = [];
  /**
   * Adds a region at the lowest offset that is free; 0 is none, so that nobody maps a region by mistake.
   * @param length in bytes, whole pages
   * @returns the offset
   */
  add(owner, backing, length) {
    let offset = PAGE_SIZE;
    let at = 0;
    for (; at < this.#regions.length && this.#regions[at].offset < offset + length; at++)
      offset = this.#regions[at].offset + this.#regions[at].length;
    this.#regions.splice(at, 0, { offset, length, backing, owner });
    return offset;
  }
  remove(offset) {
    const at = this.#regions.findIndex((region) => region.offset === offset);
    if (at >= 0) this.#regions.splice(at, 1);
  }
  /**
   * Maps a region, as a whole.
   * @throws EINVAL for a length that isn't whole pages, ENXIO where no region begins or it has another length
   */
  map(offset, length) {
    if (length % PAGE_SIZE !== 0) throw new Errno("EINVAL", `length ${hex(length)} is not a multiple of the page size`);
    const region = this.#regions.find((candidate) => candidate.offset === offset);
    if (region === void 0) throw new Errno("ENXIO", `nothing that can be mapped begins at offset ${hex(offset)}`);
    if (region.length !== length)
      throw new Errno(
        "ENXIO",
        `what begins at offset ${hex(offset)} is ${hex(region.length)} bytes, not ${hex(length)}`
      );
    const { backing, owner } = region;
    owner.users++;
    return {
      backing,
      release: () => {
        owner.users--;
      }
    };
  }
};

// src/iommufd/context.ts
var Context = class {
  platform;
  objects = new ObjectTable();
  /** What can be mapped with mmap(2) on the file. */
  mmapRegions = new MmapRegions();
  /** What iommufd knows of a group that has devices bound here. */
  groups = /* @__PURE__ */ new Map();
  /** IOMMU_OPTION_RLIMIT_MODE: for whom pinned memory is counted, of those who are not exempt. */
  accountMode;
  /** The IOAS that VFIO's container ioctls work on. */
  vfioIoas;
  /** The file itself, and files and devices that were made from it and are still there. */
  #holders = 1;
  /** @param asContainer opened as /dev/vfio/vfio, which counts memory as VFIO does */
  constructor(platform, asContainer = false) {
    this.platform = platform;
    this.accountMode = asContainer ? "mm" : "user";
  }
  /** Keeps the context until drop(), also when its file is closed before. */
  hold() {
    this.#holders++;
  }
  /** Undoes one hold(), or is the file's own end. The last one destroys all objects. */
  drop() {
    this.#holders--;
    if (this.#holders === 0) this.objects.removeAll();
  }
};

// src/iommufd/hwpt.ts
var Hwpt = class extends IommufdObject {
  /** Whether it may be attached to a PASID, or to a device that has something attached to a PASID. */
  pasidCompatible;
  /** Gets the page faults of devices that are attached; absent where they can't fault. */
  #faultQueue;
  constructor(id, flags2) {
    super(id);
    this.pasidCompatible = (flags2 & HwptAllocFlags.PASID) !== 0;
  }
  get faultQueue() {
    return this.#faultQueue;
  }
  /** Before the first attach: has page faults go to a queue. */
  sendFaultsTo(queue) {
    this.#faultQueue = queue;
    queue.users++;
    this.domain.faultHandler = (group) => queue.deliver(group);
  }
  /** The part of destroy() that all kinds have. */
  freeDomain() {
    this.domain.free();
    if (this.#faultQueue) this.#faultQueue.users--;
  }
  toString() {
    return `HWPT ${this.id}`;
  }
};
var PagingHwpt = class extends Hwpt {
  kind = "HWPT_PAGING";
  domain;
  ioas;
  isNestParent;
  /** Made for an attach to the IOAS: shared by such devices, and destroyed with the last of them. */
  isAutomatic = false;
  enforcesCacheCoherency = false;
  constructor(id, flags2, ioas, domain) {
    super(id, flags2);
    this.ioas = ioas;
    this.domain = domain;
    this.isNestParent = (flags2 & HwptAllocFlags.NEST_PARENT) !== 0;
    ioas.users++;
  }
  get paging() {
    return this;
  }
  /** Maps the IOAS into the domain, and keeps it so. */
  show() {
    this.ioas.map.addDomain(this.domain);
    this.ioas.hwpts.push(this);
  }
  /** Before the first map: every DMA through the domain snoops the CPU's caches, whatever the device asks for. */
  enforceCacheCoherency() {
    this.enforcesCacheCoherency ||= this.domain.enforceCacheCoherency?.() ?? false;
    if (!this.enforcesCacheCoherency)
      throw new Errno("EINVAL", `${this.domain.driver.name} can't make this domain enforce cache coherency`);
  }
  destroy() {
    const at = this.ioas.hwpts.indexOf(this);
    if (at >= 0) {
      this.ioas.hwpts.splice(at, 1);
      this.ioas.map.removeDomain(this.domain);
    }
    this.freeDomain();
    this.ioas.users--;
  }
};
var NestedHwpt = class extends Hwpt {
  kind = "HWPT_NESTED";
  domain;
  parent;
  /** What it was made on: the parent, or a vIOMMU that is on the parent. */
  #base;
  constructor(id, flags2, base, domain) {
    super(id, flags2);
    this.parent = base instanceof PagingHwpt ? base : base.hwpt;
    this.domain = domain;
    this.#base = base;
    base.users++;
  }
  get paging() {
    return this.parent;
  }
  destroy() {
    this.freeDomain();
    this.#base.users--;
  }
};

// src/iommufd/iova-bitmap.ts
var WINDOW = 64 * 1024;
var IovaBitmap = class {
  #memory;
  #address;
  /** Bytes that the caller's bitmap has, as its range and page size say. */
  #size;
  #window = new Uint8Array(WINDOW);
  /** First byte of the window in the bitmap, and how many were read; 0 when there is no window. */
  #start = 0;
  #length = 0;
  /**
   * @param address where the bitmap is, in bytes
   * @param bits how many bits it has
   */
  constructor(memory, address2, bits) {
    this.#memory = memory;
    this.#address = address2;
    this.#size = Math.ceil(bits / 8);
  }
  /**
   * Sets bits first..last; those beyond the bitmap's last byte are left out. Memory that can't be written is passed over,
   * as in Linux.
   */
  set(first, last) {
    const end = Math.min(last, this.#size * 8 - 1);
    for (let bit2 = first; bit2 <= end; ) {
      const byte = Math.floor(bit2 / 8);
      if (!this.#moveTo(byte)) return;
      const stop = Math.min(end, (this.#start + this.#length) * 8 - 1);
      setBits(this.#window, bit2 - this.#start * 8, stop - this.#start * 8);
      bit2 = stop + 1;
    }
  }
  /** Writes what has been set to the caller. */
  flush() {
    if (this.#length > 0) this.#memory.write(this.#address + this.#start, this.#window.subarray(0, this.#length));
    this.#length = 0;
  }
  #moveTo(byte) {
    if (byte >= this.#start && byte < this.#start + this.#length) return true;
    this.flush();
    this.#start = byte;
    this.#length = this.#memory.read(
      this.#address + byte,
      this.#window.subarray(0, Math.min(WINDOW, this.#size - byte))
    );
    return this.#length > 0;
  }
};
function setBits(bytes, first, last) {
  const from = first >>> 3;
  const to = last >>> 3;
  const head = 255 << (first & 7) & 255;
  const tail2 = 255 >>> 7 - (last & 7);
  if (from === to) {
    bytes[from] |= head & tail2;
    return;
  }
  bytes[from] |= head;
  bytes.fill(255, from + 1, to);
  bytes[to] |= tail2;
}

// src/iommufd/dirty.ts
function hwptSetDirtyTracking(call, args) {
  const hwpt = call.context.objects.get(args.hwptId, PagingHwpt, "hwpt_id");
  const { domain } = hwpt;
  if (domain.dirtyTracking === void 0) throw withoutTracking(hwpt);
  const enable = (args.flags & HwptSetDirtyTrackingFlags.ENABLE) !== 0;
  if (enable) clearAll(hwpt.ioas.map, domain);
  domain.dirtyTracking.set(enable);
}
function hwptGetDirtyBitmap(call, args) {
  const hwpt = call.context.objects.get(args.hwptId, PagingHwpt, "hwpt_id");
  const { domain } = hwpt;
  checkRange2(hwpt.ioas.map, args);
  if (domain.dirtyTracking === void 0) throw withoutTracking(hwpt);
  const pageLg2 = lowestBit(args.pageSize);
  const bits = Number(args.length + (1n << BigInt(pageLg2)) - 1n >> BigInt(pageLg2));
  const bitmap = new IovaBitmap(call.caller.memory, args.data, bits);
  const clear = (args.flags & HwptGetDirtyBitmapFlags.NO_CLEAR) === 0;
  readDirty2(hwpt.ioas.map, domain, args.iova, args.iova + args.length - 1n, pageLg2, clear, bitmap);
  bitmap.flush();
}
function checkRange2(map, { iova, length, pageSize }) {
  if (length === 0n) throw new Errno("EINVAL", "length is 0");
  const end = iova + length;
  if (end - 1n > LAST_IOVA)
    throw new Errno("EOVERFLOW", `iova ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`);
  if ((iova | end) & map.alignment - 1n)
    throw new Errno("EINVAL", `iova ${hex(iova)} or its end ${hex(end)} is not a multiple of ${hex(map.alignment)}`);
  if (pageSize === 0n) throw new Errno("EINVAL", "page_size is 0");
  if ((iova | end) & pageSize - 1n)
    throw new Errno(
      "EINVAL",
      `iova ${hex(iova)} or its end ${hex(end)} is not a multiple of page_size ${hex(pageSize)}`
    );
}
var leaf = new Translation();
function readDirty2(map, domain, first, last, pageLg2, clear, bitmap) {
  const { table } = domain;
  const granule = table.format.granuleLg2;
  const origin = Number(first >> BigInt(granule));
  const toBit = 2 ** (granule - pageLg2);
  const begin2 = table.lookup(origin, leaf) && leaf.leafVa < origin ? leaf.leafVa + leaf.leafFrames : origin;
  const report = (va, frames) => {
    const from = Math.max(va, begin2);
    const to = va + frames;
    if (from < to) bitmap.set(Math.floor((from - origin) * toBit), Math.ceil((to - origin) * toBit) - 1);
  };
  for (const area of map.contiguous(first, last)) {
    const from = Number((area.first > first ? area.first : first) >> BigInt(granule));
    const to = Number((area.last < last ? area.last : last) + 1n >> BigInt(granule));
    table.readDirty(from, to - from, clear, report);
  }
}
function clearAll(map, { table }) {
  const granule = BigInt(table.format.granuleLg2);
  for (const area of map.areas)
    table.readDirty(Number(area.first >> granule), Number(area.length >> granule), true, () => {
    });
}
function withoutTracking(hwpt) {
  return new Errno("EOPNOTSUPP", `${hwpt} was made without the flag DIRTY_TRACKING`);
}
function lowestBit(value) {
  return (value & -value).toString(2).length - 1;
}

// src/iommufd/eventq.ts
var EventQueue = class extends IommufdObject {
  context;
  /** As long as it is open the queue can't be destroyed. */
  #file;
  constructor(context, id) {
    super(id);
    this.context = context;
  }
  /**
   * Gives the caller an fd of the queue. It is the last thing that can fail.
   * @returns its number
   */
  open(caller) {
    const file = new EventQueueFile(this);
    const fd = caller.install(file);
    this.#file = file;
    this.users++;
    this.context.hold();
    return fd;
  }
  /** The file is closed for good. */
  close() {
    this.#file = void 0;
    this.users--;
    this.context.drop();
  }
  /** Tells who waits for events, if there is something to tell. */
  notify(wasReadable) {
    if (wasReadable !== this.readable) this.#file?.onReadableChange?.();
  }
};
var EventQueueFile = class {
  onReadableChange;
  #queue;
  constructor(queue) {
    this.#queue = queue;
  }
  get path() {
    return this.#queue.path;
  }
  get readable() {
    return this.#queue.readable;
  }
  get writable() {
    return this.#queue.writable;
  }
  read(into) {
    return this.#queue.read(into);
  }
  write(from) {
    return this.#queue.write(from);
  }
  ioctl() {
    throw new Errno("ENOTTY", `${this.#queue} has no ioctls: it is read and polled`);
  }
  release() {
    this.#queue.close();
  }
};

// src/iommufd/undo.ts
var Undo = class {
  #steps = [];
  push(step) {
    this.#steps.push(step);
  }
  /** All went well: nothing is taken back. */
  keep() {
    this.#steps.length = 0;
  }
  [Symbol.dispose]() {
    for (let step = this.#steps.pop(); step !== void 0; step = this.#steps.pop()) step();
  }
};

// src/iommufd/fault-queue.ts
var fault = HwptPgfault.newView();
var response = HwptPageResponse.newView();
var FaultQueue = class extends EventQueue {
  kind = "FAULT";
  path = "[iommufd-pgfault]";
  writable = true;
  /** Not read yet. */
  #waiting = [];
  /** Read, and not answered yet. By cookie. */
  #unanswered = /* @__PURE__ */ new Map();
  /** No cookie below this is free. */
  #lowestCookie = 1;
  get readable() {
    return this.#waiting.length > 0;
  }
  /** Takes a group of faults in. It is the fault handler of a domain. */
  deliver(group) {
    const wasReadable = this.readable;
    this.#waiting.push(group);
    this.notify(wasReadable);
  }
  /** Gives whole groups, a struct for each fault. All faults of a group have its cookie. */
  read(into) {
    const { size } = HwptPgfault;
    if (into.length % size !== 0)
      throw new Errno("ESPIPE", `a read of ${into.length} bytes is not a multiple of ${size}, one page fault`);
    const wasReadable = this.readable;
    let done = 0;
    for (let group = this.#waiting[0]; group !== void 0; group = this.#waiting[0]) {
      const length = group.requests.length * size;
      if (length > into.length - done) {
        if (done > 0) break;
        throw new Errno(
          "EINVAL",
          `a read of ${into.length} bytes has no room for the first group of faults, ${length}`
        );
      }
      this.#waiting.shift();
      const cookie = this.#newCookie();
      this.#unanswered.set(cookie, group);
      this.#write(group, cookie, into.subarray(done, done + length));
      done += length;
    }
    this.notify(wasReadable);
    return done;
  }
  #write(group, cookie, into) {
    const device = group.attachment.handle;
    group.requests.forEach((request, index) => {
      fault.flags = request.flags;
      fault.devId = device.id;
      fault.pasid = request.pasid;
      fault.grpid = request.group;
      fault.perm = request.permissions;
      fault.addr = request.address;
      fault.length = 0;
      fault.cookie = cookie;
      into.set(fault.bytes, index * HwptPgfault.size);
    });
  }
  /** The lowest number that no unanswered group has. */
  #newCookie() {
    let cookie = this.#lowestCookie;
    while (this.#unanswered.has(cookie)) cookie++;
    this.#lowestCookie = cookie + 1;
    return cookie;
  }
  #answer(cookie, group, code) {
    this.#unanswered.delete(cookie);
    this.#lowestCookie = Math.min(this.#lowestCookie, cookie);
    group.respond(code);
  }
  /** Takes answers, by cookie, up to the first that is wrong. */
  write(from) {
    const { size } = HwptPageResponse;
    if (from.length % size !== 0)
      throw new Errno("ESPIPE", `a write of ${from.length} bytes is not a multiple of ${size}, one response`);
    for (let done = 0; done < from.length; done += size) {
      response.bytes.set(from.subarray(done, done + size));
      const { cookie, code } = response;
      const group = this.#unanswered.get(cookie);
      if (group === void 0 || !isPageResponse(code)) {
        if (done > 0) return done;
        throw new Errno(
          "EINVAL",
          group === void 0 ? `cookie is ${cookie}, and no group of faults waits for an answer by it` : `code is ${code}, which is neither SUCCESS nor INVALID`
        );
      }
      this.#answer(cookie, group, code);
    }
    return from.length;
  }
  /** Answers what came while something was attached that no longer is: nobody else will. */
  answerFor(attachment) {
    const wasReadable = this.readable;
    const unread = this.#waiting.filter((group) => group.attachment === attachment);
    this.#waiting = this.#waiting.filter((group) => group.attachment !== attachment);
    for (const group of unread) group.respond(PageResponseCode.INVALID);
    for (const [cookie, group] of this.#unanswered)
      if (group.attachment === attachment) this.#answer(cookie, group, PageResponseCode.INVALID);
    this.notify(wasReadable);
  }
  destroy() {
    for (const group of [...this.#waiting, ...this.#unanswered.values()]) group.respond(PageResponseCode.INVALID);
  }
};
function isPageResponse(code) {
  return code === PageResponseCode.SUCCESS || code === PageResponseCode.INVALID;
}
function faultQueueAlloc(call, alloc) {
  var _stack = [];
  try {
    const { context, caller } = call;
    const undo = __using(_stack, new Undo());
    const queue = new FaultQueue(context, context.objects.reserve());
    undo.push(() => context.objects.cancel(queue.id));
    call.checkRespond();
    alloc.outFaultFd = queue.open(caller);
    alloc.outFaultId = queue.id;
    undo.keep();
    context.objects.install(queue);
    call.respond();
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}

// src/iommufd/device.ts
var IommufdGroup = class {
  group;
  attachments = /* @__PURE__ */ new Map();
  /** Devices of the group that are bound. */
  bound = 0;
  /** Where a software MSI is mapped, if a device of the group needs that. */
  softwareMsi;
  constructor(group) {
    this.group = group;
  }
};
var BoundDevice = class extends IommufdObject {
  kind = "DEVICE";
  context;
  device;
  group;
  enforcesCacheCoherency;
  /** What it is in the guest of a vIOMMU. */
  vdevice;
  #keepsContext;
  constructor(context, id, device, group, keepsContext) {
    super(id);
    this.context = context;
    this.device = device;
    this.group = group;
    this.#keepsContext = keepsContext;
    if (keepsContext) context.hold();
    this.enforcesCacheCoherency = device.driver.capable(device, "enforce-cache-coherency");
    group.bound++;
  }
  /** A vDEVICE does not keep its device: it goes with it, but leaves its id behind. */
  preDestroy() {
    if (this.vdevice === void 0) return;
    this.vdevice.users++;
    this.context.objects.tombstoneUser(this.vdevice);
  }
  destroy() {
    this.group.group.release();
    this.group.bound--;
    if (this.group.bound === 0) this.context.groups.delete(this.group.group);
    if (this.#keepsContext) this.context.drop();
  }
  toString() {
    return `device ${this.id} (${this.device.name})`;
  }
};
function bindDevice(context, device, keepsContext = true) {
  const id = context.objects.reserve();
  try {
    if (!device.driver.capable(device, "cache-coherency"))
      throw new Errno(
        "EINVAL",
        `${device.name} is not cache coherent behind ${device.driver.name}, and user space can't flush caches`
      );
    device.group.claim(context);
  } catch (error) {
    context.objects.cancel(id);
    throw error;
  }
  let group = context.groups.get(device.group);
  if (group === void 0) {
    group = new IommufdGroup(device.group);
    context.groups.set(device.group, group);
  }
  const bound = new BoundDevice(context, id, device, group, keepsContext);
  bound.users++;
  context.objects.install(bound);
  return bound;
}
function unbindDevice(device) {
  device.context.objects.destroyUser(device);
}

// src/iommufd/hw-info.ts
var NO_INFO = { type: HwInfoType.NONE, bytes: new Uint8Array(0) };
function getHwInfo(call, query) {
  const { memory } = call.caller;
  const wanted = query.flags & HwInfoFlags.INPUT_TYPE ? query.inDataType : HwInfoType.NONE;
  const { device } = call.context.objects.get(query.devId, BoundDevice, "dev_id");
  const { driver } = device;
  const info = driver.hwInfo?.(device, wanted) ?? NO_INFO;
  const copied = Math.min(query.dataLen, info.bytes.length);
  copyOut(memory, query.dataUptr, info.bytes.subarray(0, copied), "data_uptr");
  clearOut(memory, query.dataUptr + copied, query.dataLen - copied, "data_uptr");
  query.dataLen = info.bytes.length;
  query.outDataType = info.type;
  let capabilities = driver.capable(device, "dirty-tracking") ? HwCapabilities.DIRTY_TRACKING : 0;
  if (!driver.capable(device, "pci-ats")) capabilities |= HwCapabilities.PCI_ATS_NOT_SUPPORTED;
  query.outCapabilities = BigInt(capabilities);
  query.outMaxPasidLog2 = device.maxPasids === 0 ? 0 : Math.log2(device.maxPasids);
  call.respond();
}

// src/iommufd/pages-rw.ts
function rwPages(pages, startByte, data, caller, { write, slowPath }) {
  if (pages.kind === "user" && pages.space === caller.memory && !slowPath)
    copyByAddress(pages.space, Number(pages.start) + startByte, data, write);
  else copyByPages(pages, startByte, data, write);
}
function copyByAddress(space, address2, data, write) {
  const done = write ? space.write(address2, data) : space.read(address2, data);
  if (done < data.length)
    throw new Errno("EFAULT", `the memory at ${hex(address2 + done)} can't be ${write ? "written" : "read"}`);
}
function copyByPages(pages, startByte, data, write) {
  var _stack = [];
  try {
    const first = Math.floor(startByte / PAGE_SIZE);
    const last = Math.floor((startByte + data.length - 1) / PAGE_SIZE);
    const extents = new Extents();
    if (first === last && pages.kind === "user" && pages.space.alive) {
      pages.space.resolve(Number(pages.start) / PAGE_SIZE + first, 1, write, extents);
      copyExtents(extents, startByte % PAGE_SIZE, data, write);
      return;
    }
    const undo = __using(_stack, new Undo());
    pages.hold(first, last);
    undo.push(() => pages.drop(first, last));
    pages.extents(first, last, extents);
    copyExtents(extents, startByte % PAGE_SIZE, data, write);
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}
function copyExtents({ backing, page, count }, offset, data, write) {
  let skip = offset;
  let done = 0;
  for (let i = 0; i < count.length; i++) {
    const length = Math.min(count[i] * PAGE_SIZE - skip, data.length - done);
    const part = data.subarray(done, done + length);
    const at = page[i] * PAGE_SIZE + skip;
    const copied = write ? backing[i].write(at, part) : backing[i].read(at, part);
    if (copied < length)
      throw new Errno("EFAULT", `${backing[i].name} can't be ${write ? "written" : "read"} at ${hex(at + copied)}`);
    done += length;
    skip = 0;
  }
}

// src/iommufd/access.ts
var PAGE3 = BigInt(PAGE_SIZE);
var Access = class _Access extends IommufdObject {
  kind = "ACCESS";
  iovaAlignment;
  #context;
  /** Absent for one of iommufd's own, which lets nothing be unmapped that it has pinned. */
  #ops;
  #ioas;
  /** As long as it leaves an IOAS it may still unpin there, but pin no more. */
  #unpinFrom;
  constructor(context, id, ops) {
    super(id);
    this.#context = context;
    this.#ops = ops;
    this.iovaAlignment = ops === void 0 || ops.needsPinPages ? PAGE3 : 1n;
  }
  /**
   * Makes an access that is attached to nothing. destroyUser() of the table of objects undoes it.
   * @param ops undefined for one of iommufd's own, which lives no longer than the context
   */
  static create(context, ops) {
    const access2 = new _Access(context, context.objects.reserve(), ops);
    access2.users++;
    if (ops !== void 0) context.hold();
    context.objects.install(access2);
    return access2;
  }
  get ioas() {
    return this.#ioas;
  }
  get needsPinPages() {
    return this.#ops?.needsPinPages ?? true;
  }
  /** Whether what it pins can't be unmapped before it unpins it of its own accord. */
  get #locks() {
    return this.#ops === void 0;
  }
  unmap(first, last) {
    this.#ops?.unmap(first, last);
  }
  /**
   * Goes over to an IOAS, or leaves the one that it has. What it has pinned in the old one is unpinned.
   * @throws EADDRINUSE when a mapping of the new one is not aligned as the access needs it; nothing changes then
   */
  attach(ioas) {
    const old = this.#ioas;
    if (old === ioas) return;
    if (ioas !== void 0) {
      ioas.map.addAccess(this);
      ioas.users++;
    }
    if (old !== void 0) {
      this.#ioas = void 0;
      this.#ops?.unmap(0n, LAST_IOVA);
      old.map.removeAccess(this);
      old.users--;
    }
    this.#ioas = ioas;
    this.#unpinFrom = ioas;
  }
  /**
   * Has the pages of a range stay where they are until unpin().
   * @param into gets the frames, one for each page that the range touches
   * @throws EINVAL, EOVERFLOW, ENOENT for a gap, EPERM for a mapping that doesn't let it, and what pinning throws
   */
  pin(iova, length, write, into) {
    var _stack = [];
    try {
      const last = lastOf(iova, length);
      const ioas = this.#attached();
      let at = iova;
      const undo = __using(_stack, new Undo());
      undo.push(() => this.#unpin(ioas, iova, at - 1n));
      for (const area of ioas.map.contiguous(iova, last)) {
        const end = area.last < last ? area.last : last;
        if (area.accessPrevented) throw beingUnmapped(area);
        checkAligned(area, at, area.last < last);
        checkProtection(area, write);
        pinArea(area, area.indexOf(at), area.indexOf(end), into);
        area.accesses++;
        if (this.#locks) area.locks++;
        at = end + 1n;
      }
      if (at <= last) throw gap(ioas, at);
      undo.keep();
    } catch (_) {
      var _error = _, _hasError = true;
    } finally {
      __callDispose(_stack, _error, _hasError);
    }
  }
  /** Undoes one pin() of the very same range. */
  unpin(iova, length) {
    this.#unpin(this.#unpinFrom, iova, iova + length - 1n);
  }
  #unpin(ioas, first, last) {
    if (last < first) return;
    let at = first;
    for (const area of ioas.map.contiguous(first, last)) {
      const end = area.last < last ? area.last : last;
      area.pages.drop(area.indexOf(at), area.indexOf(end));
      area.accesses--;
      if (this.#locks) area.locks--;
      at = end + 1n;
    }
  }
  /**
   * Copies between `data` and the memory behind an IOVA. What was written before an error stays written.
   * @throws EINVAL, EOVERFLOW, ENOENT for a gap, EPERM for a mapping that doesn't let it, EFAULT
   */
  rw(caller, iova, data, options) {
    const last = lastOf(iova, BigInt(data.length));
    const ioas = this.#attached();
    let at = iova;
    for (const area of ioas.map.contiguous(iova, last)) {
      const end = area.last < last ? area.last : last;
      if (area.accessPrevented) throw beingUnmapped(area);
      checkProtection(area, options.write);
      const part = data.subarray(Number(at - iova), Number(end + 1n - iova));
      rwPages(area.pages, Number(area.startByte(at)), part, caller, options);
      at = end + 1n;
    }
    if (at <= last) throw gap(ioas, at);
  }
  #attached() {
    if (this.#ioas === void 0) throw new Errno("ENOENT", `${this} is attached to no IOAS`);
    return this.#ioas;
  }
  destroy() {
    this.attach(void 0);
    if (this.#ops !== void 0) this.#context.drop();
  }
};
function pinArea({ pages }, first, last, into) {
  var _stack = [];
  try {
    const undo = __using(_stack, new Undo());
    pages.hold(first, last);
    undo.push(() => pages.drop(first, last));
    pages.account();
    pages.runs(first, last, into);
    undo.keep();
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}
function lastOf(iova, length) {
  if (length === 0n) throw new Errno("EINVAL", "length is 0");
  const last = iova + length - 1n;
  if (last > LAST_IOVA)
    throw new Errno("EOVERFLOW", `IOVA ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`);
  return last;
}
function checkAligned(area, iova, goesOn) {
  if (area.startByte(iova) % PAGE3 !== 0n)
    throw new Errno("EINVAL", `IOVA ${hex(iova)} of the mapping ${inWords(area)} is not the first byte of a page`);
  if (goesOn && (area.startByte(area.last) + 1n) % PAGE3 !== 0n)
    throw new Errno("EINVAL", `the mapping ${inWords(area)} ends within a page, and the range goes on after it`);
}
function checkProtection(area, write) {
  if ((area.protection & (write ? WRITE : READ)) === 0)
    throw new Errno("EPERM", `the mapping ${inWords(area)} is not ${write ? "writeable" : "readable"}`);
  if (write && !area.pages.writable)
    throw new Errno("EPERM", `the memory behind the mapping ${inWords(area)} was mapped read-only`);
}
function beingUnmapped(area) {
  return new Errno("EINVAL", `the mapping ${inWords(area)} is being unmapped`);
}
function gap(ioas, iova) {
  return new Errno("ENOENT", `nothing is mapped at IOVA ${hex(iova)} of ${ioas}`);
}

// src/iommufd/viommu.ts
var Viommu = class extends IommufdObject {
  kind = "VIOMMU";
  context;
  /** The physical IOMMU: only devices behind it can be in the guest's share. */
  iommu;
  /** The parent of all nested HWPTs of the vIOMMU. */
  hwpt;
  /** By type: one for each. */
  eventQueues = /* @__PURE__ */ new Map();
  /** By the number in the guest. */
  vdevices = /* @__PURE__ */ new Map();
  /** Our half of each of the driver's queues. */
  hwQueues = /* @__PURE__ */ new Map();
  /** The driver's half. */
  driver;
  /**
   * @param iommu see Device
   * @param initialize makes the driver's half. What it throws leaves everything as it was
   */
  constructor(context, id, iommu, hwpt, initialize) {
    super(id);
    this.context = context;
    this.iommu = iommu;
    this.hwpt = hwpt;
    this.driver = initialize(this);
    hwpt.users++;
  }
  findDevice(virtualId) {
    return this.vdevices.get(virtualId)?.device.device;
  }
  virtualIdOf(device) {
    for (const [virtualId, vdevice] of this.vdevices) if (vdevice.device.device === device) return virtualId;
    throw new Errno("ENOENT", `${device.name} has no vDEVICE in ${this}: one has to be made first`);
  }
  reportEvent(type, event) {
    const queue = this.eventQueues.get(type);
    if (queue === void 0) throw new Errno("EOPNOTSUPP", `${this} has no queue for events of type ${hex(type)}`);
    queue.deliver(event);
  }
  addMapping(backing, length) {
    return this.context.mmapRegions.add(this, backing, length);
  }
  removeMapping(offset) {
    this.context.mmapRegions.remove(offset);
  }
  destroy() {
    this.driver.free();
    this.hwpt.users--;
  }
  toString() {
    return `vIOMMU ${this.id}`;
  }
};
function viommuAlloc(call, alloc) {
  var _stack = [];
  try {
    const { context, caller } = call;
    const { type, dataLen: length, dataUptr: address2 } = alloc;
    if (type === ViommuType.DEFAULT) throw new Errno("EOPNOTSUPP", "type is DEFAULT, and no vIOMMU is of that type");
    const { device } = context.objects.get(alloc.devId, BoundDevice, "dev_id");
    const { driver, iommu } = device;
    if (!driver.viommuInit || !driver.hasViommu?.(device, type))
      throw new Errno("EOPNOTSUPP", `${driver.name} has no vIOMMU of type ${hex(type)} for ${device.name}`);
    const hwpt = context.objects.get(alloc.hwptId, PagingHwpt, "hwpt_id");
    if (!hwpt.isNestParent) throw new Errno("EINVAL", `${hwpt} was allocated without NEST_PARENT`);
    const data = length === 0 ? void 0 : { type, address: address2, length, memory: caller.memory };
    const undo = __using(_stack, new Undo());
    const id = context.objects.reserve();
    undo.push(() => context.objects.cancel(id));
    const viommu = new Viommu(
      context,
      id,
      iommu,
      hwpt,
      (core) => driver.viommuInit(core, device, type, hwpt.domain, data)
    );
    undo.push(() => viommu.destroy());
    alloc.outViommuId = id;
    call.respond();
    undo.keep();
    context.objects.install(viommu);
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}

// src/iommufd/hw-queue.ts
var PAGE4 = BigInt(PAGE_SIZE);
var MAX_PAGES = 0x7fffffffn / 8n;
var HwQueue = class extends IommufdObject {
  kind = "HW_QUEUE";
  #viommu;
  #memory;
  #driver;
  constructor(id, viommu, memory, driver) {
    super(id);
    this.#viommu = viommu;
    this.#memory = memory;
    this.#driver = driver;
    viommu.users++;
    viommu.hwQueues.set(driver, this);
    const before = this.#before;
    if (before) before.users++;
  }
  /** The queue that can't be destroyed before this one. */
  get #before() {
    const { dependsOn } = this.#driver;
    return dependsOn && this.#viommu.hwQueues.get(dependsOn);
  }
  destroy() {
    const before = this.#before;
    if (before) before.users--;
    this.#driver.free();
    this.#viommu.hwQueues.delete(this.#driver);
    this.#memory.free();
    this.#viommu.users--;
  }
};
var QueueMemory = class {
  /** Where the queue begins, in bytes. */
  physicalAddress;
  #viommu;
  #access;
  /** Whole pages. */
  #iova;
  #length;
  /**
   * Pins the pages of a queue.
   * @param iova of the vIOMMU's HWPT, in bytes
   * @throws EFAULT when they are not contiguous, ERANGE or ENOMEM for a length beyond all memory, and what pinning throws
   */
  constructor(viommu, iova, length) {
    var _stack = [];
    try {
      const offset = iova % PAGE4;
      const pages = (offset + length + PAGE4 - 1n) / PAGE4;
      if (offset + length + PAGE4 - 1n > LAST_IOVA)
        throw new Errno("ERANGE", `length ${hex(length)}, rounded up to pages, exceeds 64 bits`);
      if (pages > MAX_PAGES) throw new Errno("ENOMEM", `a queue of ${pages} pages is too long`);
      const { objects } = viommu.context;
      const undo = __using(_stack, new Undo());
      const access2 = Access.create(viommu.context, void 0);
      undo.push(() => objects.destroyUser(access2));
      access2.attach(viommu.hwpt.ioas);
      const frames = new Runs();
      access2.pin(iova - offset, pages * PAGE4, false, frames);
      undo.push(() => access2.unpin(iova - offset, pages * PAGE4));
      if (frames.length > 1)
        throw new Errno("EFAULT", `the queue's ${pages} pages lie in ${frames.length} pieces, and must be contiguous`);
      undo.keep();
      this.physicalAddress = frames.frame[0] * PAGE_SIZE + Number(offset);
      this.#viommu = viommu;
      this.#access = access2;
      this.#iova = iova - offset;
      this.#length = pages * PAGE4;
    } catch (_) {
      var _error = _, _hasError = true;
    } finally {
      __callDispose(_stack, _error, _hasError);
    }
  }
  free() {
    this.#access.unpin(this.#iova, this.#length);
    this.#viommu.context.objects.destroyUser(this.#access);
  }
};
function hwQueueAlloc(call, alloc) {
  var _stack = [];
  try {
    const { context } = call;
    const { type, index, length, nestingParentIova: iova } = alloc;
    if (type === HwQueueType.DEFAULT) throw new Errno("EOPNOTSUPP", "type is DEFAULT, and no queue is of that type");
    if (length === 0n) throw new Errno("EINVAL", "length is 0");
    if (iova + length - 1n > LAST_IOVA)
      throw new Errno("EOVERFLOW", `IOVA ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`);
    const viommu = context.objects.get(alloc.viommuId, Viommu, "viommu_id");
    const { driver } = viommu;
    if (!driver.hwQueueInit || !driver.hasHwQueue?.(type))
      throw new Errno("EOPNOTSUPP", `${viommu} has no queues of type ${hex(type)}`);
    const undo = __using(_stack, new Undo());
    const id = context.objects.reserve();
    undo.push(() => context.objects.cancel(id));
    const memory = new QueueMemory(viommu, iova, length);
    undo.push(() => memory.free());
    const initialized = driver.hwQueueInit({ type, index, iova, length }, memory.physicalAddress);
    undo.push(() => initialized.free());
    alloc.outHwQueueId = id;
    call.respond();
    undo.keep();
    context.objects.install(new HwQueue(id, viommu, memory, initialized));
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}

// src/iommufd/attachment.ts
function release(device, hwpt) {
  if (hwpt === void 0) return;
  if (hwpt.paging === hwpt && hwpt.paging.isAutomatic) device.context.objects.putAndTryDestroy(hwpt);
  else hwpt.users--;
}
function attachHwpt(device, hwpt, pasid) {
  const { group } = device;
  const attachment = group.attachments.get(pasid);
  if (attachment?.devices.has(device)) throw new Errno("EBUSY", `${device} is attached to ${attachment.hwpt} already`);
  if (attachment !== void 0 && attachment.hwpt !== hwpt)
    throw new Errno(
      "EINVAL",
      `${device} is in group ${group.group.id}, which is attached to ${attachment.hwpt}, not ${hwpt}`
    );
  const { map } = hwpt.paging.ioas;
  if (pasid === NO_PASID) group.softwareMsi = map.reserveForDevice(device.device) ?? group.softwareMsi;
  try {
    if (attachment === void 0) attachGroup(device, hwpt, pasid);
    else attachment.devices.add(device);
  } catch (error) {
    if (pasid === NO_PASID) map.ranges.unreserve(device.device);
    throw error;
  }
  hwpt.users++;
}
function attachGroup(device, hwpt, pasid) {
  const { group } = device;
  checkPasidCompatible(group, hwpt, pasid);
  if (pasid === NO_PASID) group.group.attach(hwpt.domain, device);
  else group.group.attachPasid(hwpt.domain, pasid, device);
  group.attachments.set(pasid, { hwpt, devices: /* @__PURE__ */ new Set([device]) });
}
function detachHwpt(device, pasid) {
  const { group } = device;
  const attachment = group.attachments.get(pasid);
  if (attachment === void 0) return false;
  attachment.devices.delete(device);
  if (attachment.devices.size === 0) {
    const gone = group.group.attachment(pasid);
    if (pasid === NO_PASID) group.group.detach();
    else group.group.detachPasid(pasid);
    attachment.hwpt.faultQueue?.answerFor(gone);
    group.attachments.delete(pasid);
  }
  if (pasid === NO_PASID) attachment.hwpt.paging.ioas.map.ranges.unreserve(device.device);
  release(device, attachment.hwpt);
  return true;
}
function replaceHwpt(device, hwpt, pasid) {
  const { group } = device;
  const attachment = group.attachments.get(pasid);
  if (attachment === void 0 || !attachment.devices.has(device))
    throw new Errno(
      "EINVAL",
      `${device} is not attached${pasid === NO_PASID ? "" : ` with PASID ${pasid}`}, so nothing can be replaced`
    );
  const old = attachment.hwpt;
  if (old === hwpt) return void 0;
  const newIoas = hwpt.paging.ioas;
  const oldIoas = old.paging.ioas;
  const moves = pasid === NO_PASID && newIoas !== oldIoas;
  const gone = group.group.attachment(pasid);
  try {
    if (moves) for (const member of attachment.devices) newIoas.map.reserveForDevice(member.device);
    checkPasidCompatible(group, hwpt, pasid);
    if (pasid === NO_PASID) group.group.replace(hwpt.domain, device);
    else group.group.replacePasid(hwpt.domain, pasid, device);
  } catch (error) {
    if (pasid === NO_PASID) for (const member of attachment.devices) newIoas.map.ranges.unreserve(member.device);
    throw error;
  }
  old.faultQueue?.answerFor(gone);
  if (moves) for (const member of attachment.devices) oldIoas.map.ranges.unreserve(member.device);
  attachment.hwpt = hwpt;
  hwpt.users += attachment.devices.size;
  old.users -= attachment.devices.size - 1;
  return old;
}
function checkPasidCompatible(group, hwpt, pasid) {
  const other = group.attachments.get(NO_PASID)?.hwpt;
  if (pasid === NO_PASID) {
    const others = [...group.attachments.keys()].some((key) => key !== NO_PASID);
    if (others && !hwpt.pasidCompatible)
      throw new Errno(
        "EINVAL",
        `${hwpt} was made without the flag PASID, and PASIDs of group ${group.group.id} are attached`
      );
  } else if (!hwpt.pasidCompatible)
    throw new Errno("EINVAL", `${hwpt} was made without the flag PASID: it can't be attached to one`);
  else if (other && !other.pasidCompatible)
    throw new Errno("EINVAL", `group ${group.group.id} is attached to ${other}, which was made without the flag PASID`);
}

// src/iommufd/hwpt-policy.ts
var KNOWN_FLAGS = Object.values(HwptAllocFlags).reduce((known, flag) => known | flag, 0);
var mainline = (device, { flags: flags2, data }) => {
  const { driver } = device;
  if ((flags2 !== 0 || data !== void 0) && !driver.domainAllocPagingFlags)
    throw new Errno("EOPNOTSUPP", `${driver.name} has no domain_alloc_paging_flags, so flags and data can't be served`);
  if (flags2 & ~KNOWN_FLAGS)
    throw new Errno("EOPNOTSUPP", `flags has ${hex(flags2 & ~KNOWN_FLAGS)}, which is no flag of HWPT_ALLOC`);
  if (flags2 & HwptAllocFlags.DIRTY_TRACKING && !driver.capable(device, "dirty-tracking"))
    throw new Errno("EOPNOTSUPP", `DIRTY_TRACKING: the IOMMU of ${device.name} can't track what is written`);
  if (flags2 & HwptAllocFlags.FAULT_ID_VALID && flags2 & HwptAllocFlags.NEST_PARENT)
    throw new Errno("EOPNOTSUPP", "FAULT_ID_VALID and NEST_PARENT exclude one another: faults go to the nested HWPT");
  if (driver.domainAllocPagingFlags)
    return driver.domainAllocPagingFlags(device, flags2 & ~HwptAllocFlags.FAULT_ID_VALID, data);
  if (driver.domainAllocPaging) return driver.domainAllocPaging(device);
  throw new Errno("EOPNOTSUPP", `${driver.name} has no paging domains`);
};

// src/iommufd/hwpt-alloc.ts
var AUTOMATIC = { flags: 0, data: void 0 };
function allocateForUser(context, ioas, device, request) {
  var _stack = [];
  try {
    const undo = __using(_stack, new Undo());
    const hwpt = allocate(context, ioas, device, request, undo);
    hwpt.show();
    undo.keep();
    return hwpt;
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}
function allocateForAttach(context, ioas, device, pasid) {
  var _stack = [];
  try {
    const undo = __using(_stack, new Undo());
    const hwpt = allocate(context, ioas, device, AUTOMATIC, undo);
    attachHwpt(device, hwpt, pasid);
    undo.push(() => detachHwpt(device, pasid));
    hwpt.show();
    undo.keep();
    return hwpt;
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}
function allocate(context, ioas, device, request, undo) {
  const id = context.objects.reserve();
  undo.push(() => context.objects.cancel(id));
  const domain = mainline(device.device, request);
  const hwpt = new PagingHwpt(id, request.flags, ioas, domain);
  undo.push(() => hwpt.destroy());
  if (device.enforcesCacheCoherency) hwpt.enforceCacheCoherency();
  return hwpt;
}
function allocateNested(context, parent, device, flags2, data) {
  var _stack = [];
  try {
    const { driver } = device.device;
    checkNested(flags2, data);
    if (!driver.domainAllocNested) throw new Errno("EOPNOTSUPP", `${driver.name} has no nested domains`);
    if (parent.isAutomatic || !parent.isNestParent || parent.domain.driver !== driver)
      throw new Errno(
        "EINVAL",
        `${parent} can't be a parent: ${parent.isAutomatic ? "it was made by an attach" : parent.isNestParent ? `it is ${parent.domain.driver.name}'s` : "it was allocated without NEST_PARENT"}`
      );
    const undo = __using(_stack, new Undo());
    const id = context.objects.reserve();
    undo.push(() => context.objects.cancel(id));
    const domain = driver.domainAllocNested(device.device, parent.domain, flags2 & ~HwptAllocFlags.FAULT_ID_VALID, data);
    undo.keep();
    return new NestedHwpt(id, flags2, parent, domain);
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}
function allocateOnViommu(context, viommu, device, flags2, data) {
  var _stack = [];
  try {
    if (device.device.iommu !== viommu.iommu)
      throw new Errno("EINVAL", `${device} is behind another IOMMU than the one that ${viommu} is a share of`);
    checkNested(flags2, data);
    const { driver } = viommu;
    if (!driver.allocDomainNested) throw new Errno("EOPNOTSUPP", `${viommu} has no nested domains`);
    const undo = __using(_stack, new Undo());
    const id = context.objects.reserve();
    undo.push(() => context.objects.cancel(id));
    const domain = driver.allocDomainNested(flags2 & ~HwptAllocFlags.FAULT_ID_VALID, data);
    undo.keep();
    return new NestedHwpt(id, flags2, viommu, domain);
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}
function checkNested(flags2, data) {
  const known = HwptAllocFlags.FAULT_ID_VALID | HwptAllocFlags.PASID;
  if (flags2 & ~known)
    throw new Errno(
      "EOPNOTSUPP",
      `a nested HWPT takes the flags FAULT_ID_VALID and PASID, and flags has ${hex(flags2 & ~known)}`
    );
  if (data.length === 0)
    throw new Errno("EOPNOTSUPP", "a nested HWPT needs data that describes its first stage: data_len is 0");
}
function hwptAlloc(call, alloc) {
  const { context } = call;
  const { flags: flags2, dataType: type, dataLen: length, dataUptr: address2 } = alloc;
  if (type === HwptDataType.NONE !== (length === 0))
    throw new Errno(
      "EINVAL",
      type === HwptDataType.NONE ? `data_type is NONE, but data_len is ${length}` : `data_type is ${hex(type)}, but data_len is 0`
    );
  const data = { type, address: address2, length, memory: call.caller.memory };
  const device = context.objects.get(alloc.devId, BoundDevice, "dev_id");
  const parent = context.objects.find(alloc.ptId);
  if (parent === void 0) throw new Errno("EINVAL", `pt_id is ${alloc.ptId}, and there is no object ${alloc.ptId}`);
  let hwpt;
  if (parent instanceof Ioas) {
    const request = { flags: flags2, data: length === 0 ? void 0 : data };
    hwpt = allocateForUser(context, parent, device, request);
  } else if (parent instanceof PagingHwpt) hwpt = allocateNested(context, parent, device, flags2, data);
  else if (parent instanceof Viommu) hwpt = allocateOnViommu(context, parent, device, flags2, data);
  else
    throw new Errno(
      "EINVAL",
      `pt_id is ${alloc.ptId}, and ${parent} is neither an IOAS nor a paging HWPT nor a vIOMMU`
    );
  try {
    if (flags2 & HwptAllocFlags.FAULT_ID_VALID)
      hwpt.sendFaultsTo(context.objects.get(alloc.faultId, FaultQueue, "fault_id"));
    alloc.outHwptId = hwpt.id;
    call.respond();
  } catch (error) {
    hwpt.destroy();
    context.objects.cancel(hwpt.id);
    throw error;
  }
  context.objects.install(hwpt);
}

// src/iommufd/hwpt-invalidate.ts
function hwptInvalidate(call, invalidate) {
  const array3 = {
    type: invalidate.dataType,
    address: invalidate.dataUptr,
    entryLength: invalidate.entryLen,
    entries: invalidate.entryNum,
    memory: call.caller.memory,
    done: 0
  };
  try {
    if (invalidate.reserved !== 0)
      throw new Errno("EOPNOTSUPP", `__reserved is ${hex(invalidate.reserved)}: it must be 0`);
    checkArray(array3);
    const object = call.context.objects.any(invalidate.hwptId, "hwpt_id");
    if (!(object instanceof NestedHwpt || object instanceof Viommu))
      throw new Errno("EINVAL", `hwpt_id is ${object.id}, and ${object} is neither a nested HWPT nor a vIOMMU`);
    const target = object instanceof Viommu ? object.driver : object.domain;
    if (!target.invalidateCache) throw new Errno("EOPNOTSUPP", `the driver of ${object} takes no invalidations for it`);
    target.invalidateCache(array3);
  } finally {
    invalidate.entryNum = array3.done;
    call.respond();
  }
}
function checkArray({ entries, address: address2, entryLength }) {
  if (entries === 0) return;
  if (address2 === 0) throw new Errno("EINVAL", `entry_num is ${entries}, but data_uptr is 0`);
  if (entryLength === 0 || entryLength > PAGE_SIZE)
    throw new Errno("EINVAL", `entry_len is ${entryLength}, and must be 1 to ${PAGE_SIZE}`);
  if (entries > HWPT_INVALIDATE_ENTRY_NUM_MAX)
    throw new Errno(
      "EINVAL",
      `entry_num is ${entries}, and at most ${HWPT_INVALIDATE_ENTRY_NUM_MAX} are done in one call`
    );
}

// src/iommufd/noiommu.ts
function noiommuGetPa(call, { flags: flags2, reserved, length, iova, ioasId }) {
  if (!call.caller.capable("CAP_SYS_RAWIO")) throw new Errno("EPERM", "physical addresses take CAP_SYS_RAWIO");
  if (flags2 || reserved)
    throw new Errno("EOPNOTSUPP", `flags is ${hex(flags2)} and __reserved ${hex(reserved)}: both must be 0`);
  if (length === 0n) throw new Errno("EINVAL", "length is 0");
  if (iova === LAST_IOVA) throw new Errno("EOVERFLOW", `an IOVA of ${hex(iova)} is out of range`);
  const ioas = call.context.objects.get(ioasId, Ioas, "ioas_id");
  if (ioas.map.areas.firstIn(iova, iova) === void 0)
    throw new Errno("ENOENT", `nothing is mapped at IOVA ${hex(iova)} of ${ioas}`);
  throw new Errno("EOPNOTSUPP", `no device without an IOMMU is attached to ${ioas}`);
}

// src/iommufd/option.ts
function option(call, option2) {
  switch (option2.optionId) {
    case OptionId.RLIMIT_MODE:
      rlimitMode(call, option2);
      break;
    case OptionId.HUGE_PAGES:
      hugePages(call, option2);
      break;
    default:
      throw new Errno("EOPNOTSUPP", `there is no option ${option2.optionId}`);
  }
  call.respondField("val64");
}
function rlimitMode(call, option2) {
  const { context, caller } = call;
  if (option2.objectId !== 0)
    throw new Errno(
      "EOPNOTSUPP",
      `RLIMIT_MODE holds for the whole context: object_id is ${option2.objectId}, and must be 0`
    );
  switch (option2.op) {
    case OptionOp.GET:
      option2.val64 = context.accountMode === "mm" ? 1n : 0n;
      return;
    case OptionOp.SET:
      if (!caller.capable("CAP_SYS_RESOURCE")) throw new Errno("EPERM", "setting RLIMIT_MODE takes CAP_SYS_RESOURCE");
      if (context.objects.size > 0)
        throw new Errno(
          "EBUSY",
          `RLIMIT_MODE can be set only before the first object is made: there are ${context.objects.size}`
        );
      if (option2.val64 > 1n) throw new Errno("EINVAL", `RLIMIT_MODE is 0 (user) or 1 (process), not ${option2.val64}`);
      context.accountMode = option2.val64 === 0n ? "user" : "mm";
      return;
    default:
      throw new Errno("EOPNOTSUPP", `op ${option2.op} is neither SET nor GET`);
  }
}
function hugePages(call, option2) {
  const { map } = call.context.objects.get(option2.objectId, Ioas, "object_id");
  switch (option2.op) {
    case OptionOp.GET:
      option2.val64 = map.largePagesDisabled ? 0n : 1n;
      return;
    case OptionOp.SET:
      if (option2.val64 > 1n) throw new Errno("EINVAL", `HUGE_PAGES is 0 (off) or 1 (on), not ${option2.val64}`);
      if (option2.val64 === 0n) map.disableLargePages();
      else map.enableLargePages();
      return;
    default:
      throw new Errno("EOPNOTSUPP", `op ${option2.op} is neither SET nor GET`);
  }
}

// src/iommufd/selftest-op.ts
function on(op, handle) {
  const args = testVariants[op].view;
  return [TestOp[op], (call) => handle(call, args)];
}
var found2 = new Extents();
var probe = new Uint8Array(1);
function pageOf(space, address2) {
  copyIn(space, address2, probe, "uptr");
  found2.clear();
  space.resolve(Math.floor(address2 / PAGE_SIZE), 1, false, found2);
  return { backing: found2.backing[0], page: found2.page[0] };
}
function mockDevice(call, id, field2) {
  const { device } = call.context.objects.get(id, BoundDevice, field2);
  if (device instanceof MockDevice) return device;
  throw new Errno("EINVAL", `${field2} is ${id}, and ${device.name} is not a mock device`);
}

// src/iommufd/selftest-access.ts
var MAX_LENGTH = 16n << 20n;
var AccessFile = class {
  path = "[iommufd_test_staccess]";
  needsPinPages;
  access;
  #context;
  #pinned = [];
  #nextId = 0;
  constructor(context, needsPinPages) {
    this.needsPinPages = needsPinPages;
    this.#context = context;
    this.access = Access.create(context, this);
  }
  add(iova, length) {
    const id = this.#nextId++;
    this.#pinned.push({ id, iova, length });
    return id;
  }
  /** @throws ENOENT when there is no such range */
  remove(id) {
    const range2 = this.#pinned.find((candidate) => candidate.id === id);
    if (range2 === void 0) throw new Errno("ENOENT", `access_pages_id is ${id}, and nothing is pinned by that id`);
    this.#unpin([range2]);
  }
  unmap(first, last) {
    this.#unpin(this.#pinned.filter(({ iova, length }) => first <= iova + length - 1n && last >= iova));
  }
  #unpin(ranges) {
    this.#pinned = this.#pinned.filter((range2) => !ranges.includes(range2));
    for (const { iova, length } of ranges) this.access.unpin(iova, length);
  }
  ioctl() {
    throw new Errno("ENOTTY", "an access has no ioctls: it is named in IOMMU_TEST_CMD on /dev/iommu");
  }
  release() {
    this.unmap(0n, LAST_IOVA);
    this.#context.objects.destroyUser(this.access);
  }
};
function accessFile(caller, fd) {
  const found3 = caller.file(fd);
  if (found3?.kind === "ours" && found3.file instanceof AccessFile) return found3.file;
  throw new Errno("EBADFD", `fd ${fd} is not one that CREATE_ACCESS made`);
}
function createAccess(call, args) {
  var _stack = [];
  try {
    const { context, caller } = call;
    if (args.flags & ~CreateAccessFlags.NEEDS_PIN_PAGES)
      throw new Errno("EOPNOTSUPP", `flags is ${hex(args.flags)}, and only NEEDS_PIN_PAGES is known`);
    const undo = __using(_stack, new Undo());
    const file = new AccessFile(context, (args.flags & CreateAccessFlags.NEEDS_PIN_PAGES) !== 0);
    undo.push(() => file.release());
    file.access.attach(context.objects.get(args.id, Ioas, "id"));
    call.checkRespond();
    args.outAccessFd = caller.install(file);
    undo.keep();
    call.respond();
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}
function replaceIoas(call, args) {
  const { access: access2 } = accessFile(call.caller, args.id);
  access2.attach(call.context.objects.get(args.ioasId, Ioas, "ioas_id"));
}
function pinPages(call, args) {
  var _stack = [];
  try {
    const { length, uptr, flags: flags2 } = args;
    checkLength(length);
    const known = AccessPagesFlags.WRITE | AccessPagesFlags.SYZ;
    if (flags2 & ~known)
      throw new Errno("EOPNOTSUPP", `flags has ${hex(flags2 & ~known)}, and only WRITE and SYZ are known`);
    const file = accessFile(call.caller, args.id);
    const { access: access2 } = file;
    if (!file.needsPinPages) throw new Errno("EOPNOTSUPP", `${access2} was made without NEEDS_PIN_PAGES`);
    const iova = flags2 & AccessPagesFlags.SYZ ? decodeIova(access2, args.iova) : args.iova;
    const pinned = new Runs();
    const undo = __using(_stack, new Undo());
    access2.pin(iova, length, (flags2 & AccessPagesFlags.WRITE) !== 0, pinned);
    undo.push(() => access2.unpin(iova, length));
    if (uptr !== 0) comparePages(call, uptr - Number(iova % BigInt(PAGE_SIZE)), pinned);
    const id = file.add(iova, length);
    undo.keep();
    undo.push(() => file.remove(id));
    args.outAccessPagesId = id;
    call.respond();
    undo.keep();
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}
function comparePages(call, address2, pinned) {
  const { frames } = call.context.platform;
  let at = address2;
  for (let i = 0; i < pinned.length; i++) {
    for (let n = 0; n < pinned.count[i]; n++, at += PAGE_SIZE) {
      const { backing, page } = pageOf(call.caller.memory, at);
      if (frames.frameOf(backing, page) !== pinned.frame[i] + n)
        throw new Errno("EBADE", `the memory at ${hex(at)} is not the page that has been pinned`);
    }
  }
}
function unpinPages(call, args) {
  accessFile(call.caller, args.id).remove(args.accessPagesId);
}
function readWrite(call, args) {
  const { caller } = call;
  const { length, uptr, flags: flags2 } = args;
  checkLength(length);
  const known = AccessRwFlags.WRITE | AccessRwFlags.SLOW_PATH | AccessRwFlags.SYZ;
  if (flags2 & ~known)
    throw new Errno("EOPNOTSUPP", `flags has ${hex(flags2 & ~known)}, and only WRITE, SLOW_PATH and SYZ are known`);
  const { access: access2 } = accessFile(caller, args.id);
  const data = new Uint8Array(Number(length));
  const write = (flags2 & AccessRwFlags.WRITE) !== 0;
  if (write) copyIn(caller.memory, uptr, data, "uptr");
  const iova = flags2 & AccessRwFlags.SYZ ? decodeIova(access2, args.iova) : args.iova;
  access2.rw(caller, iova, data, { write, slowPath: (flags2 & AccessRwFlags.SLOW_PATH) !== 0 });
  if (!write) copyOut(caller.memory, uptr, data, "uptr");
}
function checkLength(length) {
  if (length > MAX_LENGTH) throw new Errno("ENOMEM", `length is ${hex(length)}, more than ${hex(MAX_LENGTH)}`);
}
function decodeIova(access2, packed) {
  return access2.ioas === void 0 ? 0n : iovaOfNthArea(access2.ioas, packed);
}
var accessHandlers = [
  on("CREATE_ACCESS", createAccess),
  on("ACCESS_REPLACE_IOAS", replaceIoas),
  on("ACCESS_PAGES", pinPages),
  on("DESTROY_ACCESS_PAGES", unpinPages),
  on("ACCESS_RW", readWrite)
];

// src/iommufd/selftest-check.ts
function checkMap(call, args) {
  const { domain } = mockHwpt(call.context, args.id);
  const { frames } = call.context.platform;
  const granule = domain.table.format.granuleLg2;
  const smallest = domain.pageSizes & -domain.pageSizes;
  if ((args.iova | args.length | args.uptr) & smallest - 1n || args.uptr + args.length > LAST_IOVA)
    throw new Errno("EINVAL", `iova, length and uptr must be multiples of ${smallest}, and not wrap`);
  const step = Number(smallest);
  const start = Number(args.uptr);
  const end = start + Number(args.length);
  let iova = Number(args.iova >> BigInt(granule));
  for (let at = start; at < end; at += step) {
    const { backing, page } = pageOf(call.caller.memory, at);
    const frame = frames.frameOf(backing, page);
    const expected = frame * 2 ** (PAGE_SHIFT - granule) + Math.floor(at % PAGE_SIZE / 2 ** granule);
    const found3 = domain.table.translate(iova);
    if (frame < 0 || found3 !== expected)
      throw new Errno(
        "EINVAL",
        `IOVA ${hex(BigInt(iova) << BigInt(granule))} leads to ${found3 < 0 ? "nothing" : hex(found3 * 2 ** granule)}, and the memory at ${hex(at)} is ${frame < 0 ? "not pinned" : `at ${hex(expected * 2 ** granule)}`}`
      );
    iova += step / 2 ** granule;
  }
}
function checkRefs(call, args) {
  const { frames } = call.context.platform;
  if ((args.length | args.uptr) & BigInt(PAGE_SIZE - 1) || args.uptr + args.length > LAST_IOVA)
    throw new Errno("EINVAL", "uptr and length must be multiples of the page size, and not wrap");
  call.context.platform.settle();
  const start = Number(args.uptr);
  const end = start + Number(args.length);
  for (let at = start; at < end; at += PAGE_SIZE) {
    const { backing, page } = pageOf(call.caller.memory, at);
    const pins = frames.pins(backing, page);
    if (pins !== args.refs)
      throw new Errno("EIO", `the page at ${hex(at)} is pinned ${pins} times, and ${args.refs} were expected`);
  }
}
function checkIotlb(call, args) {
  const { domain } = call.context.objects.get(args.id, NestedHwpt, "id");
  if (!(domain instanceof MockNestedDomain)) throw new Errno("EINVAL", `${args.id} is not a HWPT of selftest`);
  if (args.iotlbId > MOCK_NESTED_DOMAIN_IOTLB_ID_MAX || domain.iotlb[args.iotlbId] !== args.iotlb)
    throw new Errno(
      "EINVAL",
      `iotlb ${args.iotlbId} is ${hex(domain.iotlb[args.iotlbId] ?? 0)}, and ${hex(args.iotlb)} was expected`
    );
}
function checkCache(call, args) {
  const mock = mockDevice(call, args.id, "id");
  if (args.cacheId > MOCK_DEV_CACHE_ID_MAX || mock.cache[args.cacheId] !== args.cache)
    throw new Errno(
      "EINVAL",
      `cache ${args.cacheId} is ${hex(mock.cache[args.cacheId] ?? 0)}, and ${hex(args.cache)} was expected`
    );
}
function dirty(call, args) {
  const { iova, length, pageSize, uptr } = args;
  if (pageSize === 0n || length === 0n || iova % pageSize || length % pageSize || uptr === 0)
    throw new Errno(
      "EINVAL",
      `iova, length and uptr must not be 0, and the first two multiples of page_size ${hex(pageSize)}`
    );
  const pages = length / pageSize;
  if (pages > 1n << 27n) throw new Errno("EOVERFLOW", `${pages} pages are more than a bitmap of 16 MiB has bits`);
  const { domain } = mockHwpt(call.context, args.id);
  if (!domain.dirtyTracking?.enabled) throw new Errno("EINVAL", `dirty tracking of HWPT ${args.id} is off`);
  const bits = new Uint8Array(Math.ceil(Number(pages) / 8));
  copyIn(call.caller.memory, uptr, bits, "uptr");
  const granule = BigInt(domain.table.format.granuleLg2);
  let count = 0n;
  for (let page = 0; page < Number(pages); page++) {
    if ((bits[page >>> 3] & 1 << (page & 7)) === 0) continue;
    domain.table.setDirty(Number(iova + BigInt(page) * pageSize >> granule));
    count++;
  }
  args.outNrDirty = count;
  call.respond();
}
function mockHwpt(context, id) {
  const { domain } = context.objects.get(id, PagingHwpt, "id");
  if (!(domain instanceof MockDomain)) throw new Errno("EINVAL", `${id} is not a HWPT of selftest`);
  return { domain };
}
var checkHandlers = [
  on("MD_CHECK_MAP", checkMap),
  on("MD_CHECK_REFS", checkRefs),
  on("MD_CHECK_IOTLB", checkIotlb),
  on("DEV_CHECK_CACHE", checkCache),
  on("DIRTY", dirty)
];

// src/iommufd/attach.ts
function attachDevice(device, pasid, ptId) {
  const target = device.context.objects.any(ptId, "pt_id");
  let hwpt;
  if (target instanceof Hwpt) {
    attachHwpt(device, target, pasid);
    hwpt = target;
  } else if (target instanceof Ioas) hwpt = attachIoas(device, target, pasid);
  else throw notAttachable(target);
  device.users++;
  return hwpt.id;
}
function detachDevice(device, pasid) {
  if (detachHwpt(device, pasid)) device.users--;
}
function replaceDevice(device, pasid, ptId) {
  const target = device.context.objects.any(ptId, "pt_id");
  if (target instanceof Hwpt) {
    release(device, replaceHwpt(device, target, pasid));
    return target.id;
  }
  if (target instanceof Ioas) return replaceByIoas(device, target, pasid);
  throw notAttachable(target);
}
function notAttachable(target) {
  return new Errno("EINVAL", `pt_id is ${target.id}, and ${target} is neither an IOAS nor a HWPT`);
}
function attachIoas(device, ioas, pasid) {
  const shared = firstThatFits(ioas, (hwpt2) => attachHwpt(device, hwpt2, pasid));
  if (shared !== void 0) return shared.hwpt;
  const hwpt = allocateForAttach(device.context, ioas, device, pasid);
  hwpt.isAutomatic = true;
  device.context.objects.install(hwpt);
  return hwpt;
}
function replaceByIoas(device, ioas, pasid) {
  const { context } = device;
  const shared = firstThatFits(ioas, (hwpt2) => replaceHwpt(device, hwpt2, pasid));
  if (shared !== void 0) {
    release(device, shared.result);
    return shared.hwpt.id;
  }
  const hwpt = allocateForUser(context, ioas, device, { flags: 0, data: void 0 });
  let old;
  try {
    old = replaceHwpt(device, hwpt, pasid);
  } catch (error) {
    hwpt.destroy();
    context.objects.cancel(hwpt.id);
    throw error;
  }
  hwpt.isAutomatic = true;
  context.objects.install(hwpt);
  release(device, old);
  return hwpt.id;
}
function firstThatFits(ioas, attach2) {
  for (const hwpt of ioas.hwpts) {
    if (!hwpt.isAutomatic) continue;
    try {
      return { hwpt, result: attach2(hwpt) };
    } catch (error) {
      if (!(error instanceof Errno && error.code === "EINVAL")) throw error;
    }
  }
  return void 0;
}

// src/iommufd/selftest-device.ts
var SelftestDevice = class extends IommufdObject {
  kind = "SELFTEST";
  #context;
  mock;
  bound;
  constructor(context, id, mock, bound) {
    super(id);
    this.#context = context;
    this.mock = mock;
    this.bound = bound;
  }
  destroy() {
    for (const pasid of [...this.bound.group.attachments.keys()]) detachDevice(this.bound, pasid);
    unbindDevice(this.bound);
    this.#context.platform.selftest.removeDevice(this.mock);
  }
};
function mockDomain(call, args) {
  addDevice(call, args, 0);
}
function mockDomainFlags(call, args) {
  addDevice(call, args, args.devFlags);
}
function addDevice(call, args, flags2) {
  var _stack = [];
  try {
    const { context } = call;
    const selftest = context.platform.selftest;
    const undo = __using(_stack, new Undo());
    const id = context.objects.reserve();
    undo.push(() => context.objects.cancel(id));
    const mock = selftest.addDevice(flags2);
    undo.push(() => selftest.removeDevice(mock));
    const bound = bindDevice(context, mock, false);
    undo.push(() => unbindDevice(bound));
    args.outHwptId = attachDevice(bound, NO_PASID, args.id);
    undo.push(() => detachDevice(bound, NO_PASID));
    args.outStdevId = id;
    args.outIdevId = bound.id;
    call.respond();
    undo.keep();
    context.objects.install(new SelftestDevice(context, id, mock, bound));
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}
function mockDomainReplace(call, args) {
  const { bound } = call.context.objects.get(args.id, SelftestDevice, "id");
  args.ptId = replaceDevice(bound, NO_PASID, args.ptId);
  call.respond();
}
function pasidAttach(call, args) {
  const { bound } = call.context.objects.get(args.id, SelftestDevice, "id");
  args.ptId = attachDevice(bound, args.pasid, args.ptId);
  try {
    call.respond();
  } catch (error) {
    detachDevice(bound, args.pasid);
    throw error;
  }
}
function pasidReplace(call, args) {
  const { bound } = call.context.objects.get(args.id, SelftestDevice, "id");
  args.ptId = replaceDevice(bound, args.pasid, args.ptId);
  call.respond();
}
function pasidDetach(call, args) {
  detachDevice(call.context.objects.get(args.id, SelftestDevice, "id").bound, args.pasid);
}
function pasidCheck(call, args) {
  const { objects } = call.context;
  const { mock } = objects.get(args.id, SelftestDevice, "id");
  const attached = mock.group.attachment(args.pasid)?.domain;
  if (args.hwptId === 0) {
    if (attached !== void 0) throw new Errno("EINVAL", `PASID ${args.pasid} is attached`);
    return;
  }
  const hwpt = objects.any(args.hwptId, "hwpt_id");
  if (!(hwpt instanceof Hwpt)) throw new Errno("EINVAL", `hwpt_id is ${args.hwptId}, and ${hwpt} is not a HWPT`);
  if (attached !== hwpt.domain) throw new Errno("EINVAL", `PASID ${args.pasid} is not attached to ${hwpt}`);
}
function triggerIopf(call, args) {
  const device = mockDevice(call, args.devId, "dev_id");
  const { pasid, grpid: group, perm: permissions, addr: address2 } = args;
  const flags2 = PgfaultFlags.LAST_PAGE | (pasid === NO_PASID ? 0 : PgfaultFlags.PASID_VALID);
  try {
    reportPageRequest(device, { flags: flags2, pasid, group, permissions, address: address2 });
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
}
function triggerVevent(call, args) {
  const device = mockDevice(call, args.devId, "dev_id");
  const { viommu, virtualId } = device;
  if (viommu === void 0 || virtualId === 0n)
    throw new Errno("ENOENT", `${device.name} is not attached to a nested HWPT of a vIOMMU where it has an id`);
  const event = ViommuEventSelftest.newView();
  event.virtId = Number(BigInt.asUintN(32, virtualId));
  viommu.core.reportEvent(VeventqType.SELFTEST, event.bytes);
}
var deviceHandlers = [
  on("MOCK_DOMAIN", mockDomain),
  on("MOCK_DOMAIN_FLAGS", mockDomainFlags),
  on("MOCK_DOMAIN_REPLACE", mockDomainReplace),
  on("PASID_ATTACH", pasidAttach),
  on("PASID_REPLACE", pasidReplace),
  on("PASID_DETACH", pasidDetach),
  on("PASID_CHECK_HWPT", pasidCheck),
  on("TRIGGER_IOPF", triggerIopf),
  on("TRIGGER_VEVENT", triggerVevent)
];

// src/iommufd/selftest.ts
function testCommand(call, command2) {
  const handler = handlers.get(command2.op);
  if (handler === void 0) throw new Errno("EOPNOTSUPP", `there is no IOMMU_TEST_OP ${command2.op}`);
  handler(call);
}
function addReserved(call, args) {
  const { start, length } = args;
  if (length === 0n) throw new Errno("EINVAL", "length is 0");
  const last = start + length - 1n;
  if (last >= 1n << 64n)
    throw new Errno("EOVERFLOW", `start ${hex(start)} + length ${hex(length)} goes beyond the 64-bit space`);
  call.context.objects.get(args.id, Ioas, "id").map.reserve(start, last, void 0);
}
function setMemoryLimit(_call, args) {
  if (args.limit < 12) throw new Errno("EINVAL", `limit is ${args.limit}, less than one entry of 12 bytes`);
}
var handlers = new Map([
  on("ADD_RESERVED", addReserved),
  on("SET_TEMP_MEMORY_LIMIT", setMemoryLimit),
  ...deviceHandlers,
  ...checkHandlers,
  ...accessHandlers
]);

// src/iommufd/vdevice.ts
var Vdevice = class extends IommufdObject {
  kind = "VDEVICE";
  device;
  #viommu;
  #virtualId;
  #driver;
  constructor(id, viommu, device, virtualId, driver) {
    super(id);
    this.#viommu = viommu;
    this.device = device;
    this.#virtualId = virtualId;
    this.#driver = driver;
    viommu.vdevices.set(virtualId, this);
    viommu.users++;
    device.vdevice = this;
    device.users++;
  }
  destroy() {
    this.#driver?.free();
    this.#viommu.vdevices.delete(this.#virtualId);
    this.#viommu.users--;
    this.device.vdevice = void 0;
    this.device.users--;
  }
};
function vdeviceAlloc(call, alloc) {
  var _stack = [];
  try {
    const { context } = call;
    const { virtId } = alloc;
    const viommu = context.objects.get(alloc.viommuId, Viommu, "viommu_id");
    const device = context.objects.get(alloc.devId, BoundDevice, "dev_id");
    if (device.device.iommu !== viommu.iommu)
      throw new Errno("EINVAL", `${device} is behind another IOMMU than the one that ${viommu} is a share of`);
    if (device.vdevice !== void 0) throw new Errno("EEXIST", `${device} is ${device.vdevice} already`);
    const undo = __using(_stack, new Undo());
    const id = context.objects.reserve();
    undo.push(() => context.objects.cancel(id));
    const other = viommu.vdevices.get(virtId);
    if (other !== void 0)
      throw new Errno("EEXIST", `virt_id is ${hex(virtId)}, by which ${viommu} has ${other.device} already`);
    const vdevice = new Vdevice(id, viommu, device, virtId, viommu.driver.vdeviceInit?.(device.device, virtId));
    undo.push(() => vdevice.destroy());
    alloc.outVdeviceId = id;
    call.respond();
    undo.keep();
    context.objects.install(vdevice);
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}

// src/iommufd/veventq.ts
var LAST_SEQUENCE = 2147483647;
var header = VeventHeader.newView();
var VeventQueue = class extends EventQueue {
  kind = "VEVENTQ";
  path = "[iommufd-viommu-event]";
  writable = false;
  type;
  #viommu;
  /** How many events it holds. */
  #depth;
  #events = [];
  /** The sequence number of the last event that was lost, if none came after it. */
  #lost;
  #nextSequence = 0;
  constructor(context, id, viommu, type, depth) {
    super(context, id);
    this.type = type;
    this.#viommu = viommu;
    this.#depth = depth;
    viommu.eventQueues.set(type, this);
    viommu.users++;
  }
  get readable() {
    return this.#events.length > 0 || this.#lost !== void 0;
  }
  /** Takes an event in, or counts it as lost when the queue is full. */
  deliver(data) {
    const wasReadable = this.readable;
    const sequence = this.#nextSequence;
    this.#nextSequence = sequence === LAST_SEQUENCE ? 0 : sequence + 1;
    if (this.#events.length === this.#depth) this.#lost = sequence;
    else {
      this.#lost = void 0;
      this.#events.push({ sequence, data: data.slice() });
    }
    this.notify(wasReadable);
  }
  /** Gives whole events, each behind a header, and a header alone where the last ones were lost. */
  read(into) {
    if (into.length < VeventHeader.size)
      throw new Errno("EINVAL", `a read of ${into.length} bytes has no room for a header of ${VeventHeader.size}`);
    const wasReadable = this.readable;
    let done = 0;
    for (let event = this.#events[0]; event !== void 0; event = this.#events[0]) {
      const { sequence, data } = event;
      const length = VeventHeader.size + data.length;
      if (length > into.length - done) {
        if (done === 0)
          throw new Errno("EINVAL", `a read of ${into.length} bytes has no room for the first event, ${length}`);
        break;
      }
      this.#events.shift();
      writeHeader(into, done, 0, sequence);
      into.set(data, done + VeventHeader.size);
      done += length;
    }
    if (this.#events.length === 0 && this.#lost !== void 0 && into.length - done >= VeventHeader.size) {
      writeHeader(into, done, VeventqFlags.LOST_EVENTS, this.#lost);
      this.#lost = void 0;
      done += VeventHeader.size;
    }
    this.notify(wasReadable);
    return done;
  }
  write() {
    throw new Errno("EINVAL", "events of a vIOMMU take no answer");
  }
  destroy() {
    this.#viommu.eventQueues.delete(this.type);
    this.#viommu.users--;
  }
};
function writeHeader(into, at, flags2, sequence) {
  header.flags = flags2;
  header.sequence = sequence;
  into.set(header.bytes, at);
}
function veventqAlloc(call, alloc) {
  var _stack = [];
  try {
    const { context, caller } = call;
    const { type, veventqDepth: depth } = alloc;
    if (type === VeventqType.DEFAULT) throw new Errno("EOPNOTSUPP", "type is DEFAULT, and no vIOMMU has events of it");
    if (depth === 0 || depth > VEVENTQ_MAX_DEPTH)
      throw new Errno("EINVAL", `veventq_depth is ${depth}, and must be 1 to ${VEVENTQ_MAX_DEPTH}`);
    const viommu = context.objects.get(alloc.viommuId, Viommu, "viommu_id");
    const other = viommu.eventQueues.get(type);
    if (other !== void 0) throw new Errno("EEXIST", `${viommu} has a queue of this type already: ${other}`);
    const undo = __using(_stack, new Undo());
    const id = context.objects.reserve();
    undo.push(() => context.objects.cancel(id));
    const queue = new VeventQueue(context, id, viommu, type, depth);
    undo.push(() => queue.destroy());
    call.checkRespond();
    alloc.outVeventqFd = queue.open(caller);
    alloc.outVeventqId = id;
    undo.keep();
    context.objects.install(queue);
    call.respond();
  } catch (_) {
    var _error = _, _hasError = true;
  } finally {
    __callDispose(_stack, _error, _hasError);
  }
}

// src/uapi/vfio.ts
var VFIO_API_VERSION = 0;
var VfioExtension = {
  TYPE1_IOMMU: 1,
  SPAPR_TCE_IOMMU: 2,
  TYPE1v2_IOMMU: 3,
  DMA_CC_IOMMU: 4,
  EEH: 5,
  TYPE1_NESTING_IOMMU: 6,
  SPAPR_TCE_v2_IOMMU: 7,
  NOIOMMU_IOMMU: 8,
  UNMAP_ALL: 9,
  UPDATE_VADDR: 10
};
var VfioGetApiVersion = plainCommand(100, "GET_API_VERSION", "none");
var VfioCheckExtension = plainCommand(101, "CHECK_EXTENSION", VfioExtension);
var VfioSetIommu = plainCommand(102, "SET_IOMMU", VfioExtension);
var VfioIommuInfoFlags = { PGSIZES: 1 << 0, CAPS: 1 << 1 };
var VfioIommuGetInfo = vfioCommand(
  112,
  "IOMMU_GET_INFO",
  {
    flags: out(flags(VfioIommuInfoFlags)),
    iovaPgsizes: out(hexadecimal2(u64)),
    capOffset: out(u32),
    pad: padding(u32)
  },
  "iovaPgsizes"
);
var VfioInfoCapHeader = struct("vfio_info_cap_header", {
  id: u16,
  version: u16,
  next: u32
});
var VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1;
var VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL = 3;
var VfioIommuType1InfoCapIovaRange = struct("vfio_iommu_type1_info_cap_iova_range", {
  id: u16,
  version: u16,
  next: u32,
  nrIovas: u32,
  reserved: padding(u32)
});
var VfioIovaRange = struct("vfio_iova_range", {
  start: address,
  end: address
});
var VfioIommuType1InfoDmaAvail = struct("vfio_iommu_type1_info_dma_avail", {
  id: u16,
  version: u16,
  next: u32,
  avail: u32
});
var VfioDmaMapFlags = { READ: 1 << 0, WRITE: 1 << 1 };
var VfioIommuMapDma = vfioCommand(113, "IOMMU_MAP_DMA", {
  flags: flags(VfioDmaMapFlags),
  vaddr: address,
  iova: address,
  size: u64
});
var VfioDmaUnmapFlags = { ALL: 1 << 1 };
var VfioIommuUnmapDma = vfioCommand(114, "IOMMU_UNMAP_DMA", {
  flags: flags(VfioDmaUnmapFlags),
  iova: address,
  size: inout(u64)
  // then how many bytes were unmapped
});
var VfioGroupFlags = { VIABLE: 1 << 0, CONTAINER_SET: 1 << 1 };
var VfioGroupGetStatus = vfioCommand(103, "GROUP_GET_STATUS", {
  flags: out(flags(VfioGroupFlags))
});
var VfioGroupSetContainer = plainCommand(104, "GROUP_SET_CONTAINER", "pointer to fd");
var VfioGroupUnsetContainer = plainCommand(105, "GROUP_UNSET_CONTAINER", "none");
var VfioGroupGetDeviceFd = plainCommand(106, "GROUP_GET_DEVICE_FD", "pointer to string");
var VfioDeviceFlags = {
  RESET: 1 << 0,
  PCI: 1 << 1,
  PLATFORM: 1 << 2,
  AMBA: 1 << 3,
  CCW: 1 << 4,
  AP: 1 << 5,
  FSL_MC: 1 << 6,
  CAPS: 1 << 7,
  CDX: 1 << 8
};
var VfioDeviceGetInfo = vfioCommand(
  107,
  "DEVICE_GET_INFO",
  {
    flags: out(flags(VfioDeviceFlags)),
    numRegions: out(u32),
    numIrqs: out(u32),
    capOffset: out(u32),
    pad: padding(u32)
  },
  "numIrqs"
);
var VfioRegionInfoFlags = { READ: 1 << 0, WRITE: 1 << 1, MMAP: 1 << 2, CAPS: 1 << 3 };
var VfioPciRegion = {
  BAR0: 0,
  BAR1: 1,
  BAR2: 2,
  BAR3: 3,
  BAR4: 4,
  BAR5: 5,
  ROM: 6,
  CONFIG: 7,
  VGA: 8
};
var VFIO_PCI_NUM_REGIONS = 9;
var VfioDeviceGetRegionInfo = vfioCommand(108, "DEVICE_GET_REGION_INFO", {
  flags: out(flags(VfioRegionInfoFlags)),
  index: oneOf(VfioPciRegion),
  capOffset: out(u32),
  size: out(u64),
  offset: out(address)
});
var VfioIrqInfoFlags = { EVENTFD: 1 << 0, MASKABLE: 1 << 1, AUTOMASKED: 1 << 2, NORESIZE: 1 << 3 };
var VfioPciIrq = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 };
var VFIO_PCI_NUM_IRQS = 5;
var VfioDeviceGetIrqInfo = vfioCommand(109, "DEVICE_GET_IRQ_INFO", {
  flags: out(flags(VfioIrqInfoFlags)),
  index: oneOf(VfioPciIrq),
  count: out(u32)
});
var VfioIrqSetFlags = {
  DATA_NONE: 1 << 0,
  DATA_BOOL: 1 << 1,
  DATA_EVENTFD: 1 << 2,
  ACTION_MASK: 1 << 3,
  ACTION_UNMASK: 1 << 4,
  ACTION_TRIGGER: 1 << 5
};
var VfioDeviceSetIrqs = vfioCommand(110, "DEVICE_SET_IRQS", {
  flags: flags(VfioIrqSetFlags),
  index: oneOf(VfioPciIrq),
  start: u32,
  count: u32
});
var VfioDeviceReset = plainCommand(111, "DEVICE_RESET", "none");
var VfioPciHotResetFlags = { DEV_ID: 1 << 0, DEV_ID_OWNED: 1 << 1 };
var VfioDeviceGetPciHotResetInfo = vfioCommand(112, "DEVICE_GET_PCI_HOT_RESET_INFO", {
  flags: out(flags(VfioPciHotResetFlags)),
  count: out(u32)
});
var VfioPciDependentDevice = struct("vfio_pci_dependent_device", {
  groupId: u32,
  devid: samePlaceAs("groupId", s32),
  segment: u16,
  bus: u8,
  devfn: hexadecimal2(u8)
});
var VfioDevicePciHotReset = vfioCommand(113, "DEVICE_PCI_HOT_RESET", {
  flags: flags({}),
  count: u32
});
var VfioDeviceFeatureFlags = { GET: 1 << 0, SET: 1 << 1, PROBE: 1 << 2 };
var VfioFeature = {
  PCI_VF_TOKEN: 0,
  MIGRATION: 1,
  MIG_DEVICE_STATE: 2,
  LOW_POWER_ENTRY: 3,
  LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  LOW_POWER_EXIT: 5,
  DMA_LOGGING_START: 6,
  DMA_LOGGING_STOP: 7,
  DMA_LOGGING_REPORT: 8,
  MIG_DATA_SIZE: 9,
  BUS_MASTER: 10,
  DMA_BUF: 11,
  MIG_PRECOPY_INFOv2: 12,
  ZPCI_ERROR: 13
};
var VfioDeviceFeature = vfioCommand(117, "DEVICE_FEATURE", {
  feature: oneOf(VfioFeature, u16),
  flags: flags(VfioDeviceFeatureFlags, u16)
});
var VfioDeviceBindFlags = { TOKEN: 1 << 0 };
var VfioDeviceBindIommufd = vfioCommand(
  118,
  "DEVICE_BIND_IOMMUFD",
  {
    flags: flags(VfioDeviceBindFlags),
    iommufd: s32,
    outDevid: out(u32),
    tokenUuidPtr: pointer
  },
  "outDevid"
);
var VfioDeviceAttachFlags = { PASID: 1 << 0 };
var VfioDeviceAttachIommufdPt = vfioCommand(
  119,
  "DEVICE_ATTACH_IOMMUFD_PT",
  {
    flags: flags(VfioDeviceAttachFlags),
    ptId: inout(u32),
    // then the HWPT
    pasid: u32
    // with the flag PASID: readThrough
  },
  "ptId"
);
var VfioDeviceDetachFlags = { PASID: 1 << 0 };
var VfioDeviceDetachIommufdPt = vfioCommand(
  120,
  "DEVICE_DETACH_IOMMUFD_PT",
  {
    flags: flags(VfioDeviceDetachFlags),
    pasid: u32
    // with the flag PASID: readThrough
  },
  "flags"
);

// src/iommufd/area-split.ts
function cutAfter(map, iova) {
  const area = map.areas.firstIn(iova, iova);
  if (area === void 0 || iova === area.first || iova === area.last) return;
  if (area.accessPrevented) throw new Errno("EBUSY", `the mapping ${inWords(area)} is being unmapped`);
  const rest = iova + 1n;
  if ((rest | area.startByte(rest)) & map.alignment - 1n)
    throw new Errno(
      "EINVAL",
      `the mapping ${inWords(area)} can't be cut at ${hex(rest)}, which is not a multiple of ${hex(map.alignment)}`
    );
  if (area.accesses > 0)
    throw new Errno("EINVAL", `the mapping ${inWords(area)} can't be cut: an in-kernel user has pinned it`);
  if (area.inDomains && !map.largePagesDisabled)
    throw new Errno("EINVAL", `the mapping ${inWords(area)} can't be cut: domains may show it with large pages`);
  const { pages, protection } = area;
  const left = new Area(area.first, rest - area.first, pages, area.startByte(area.first), protection);
  const right = new Area(rest, area.last - iova, pages, area.startByte(rest), protection);
  left.inDomains = area.inDomains;
  right.inDomains = area.inDomains;
  map.areas.remove(area);
  map.areas.insert(left);
  map.areas.insert(right);
}

// src/iommufd/vfio-info.ts
var dmaAvail = VfioIommuType1InfoDmaAvail.newView();
dmaAvail.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
dmaAvail.version = 1;
dmaAvail.avail = 4294967295;
var iovaRanges = VfioIommuType1InfoCapIovaRange.newView();
iovaRanges.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
iovaRanges.version = 1;
var range = VfioIovaRange.newView();
var DMA_AVAIL_AT = VfioIommuGetInfo.size;
var IOVA_RANGES_AT = DMA_AVAIL_AT + 16;
function iommuGetInfo(call, address2, info, map) {
  const room = info.argsz;
  if (room >= DMA_AVAIL_AT + dmaAvail.bytes.length) {
    dmaAvail.next = room >= IOVA_RANGES_AT ? IOVA_RANGES_AT : 0;
    copyOut(call.caller.memory, address2 + DMA_AVAIL_AT, dmaAvail.bytes, "the capability DMA_AVAIL");
  }
  const size = IOVA_RANGES_AT + writeIovaRanges(call, address2 + IOVA_RANGES_AT, room - IOVA_RANGES_AT, map);
  info.flags = VfioIommuInfoFlags.PGSIZES | VfioIommuInfoFlags.CAPS;
  info.iovaPgsizes = pageSizes(map);
  info.capOffset = room >= size ? DMA_AVAIL_AT : 0;
  info.argsz = size;
  call.respond();
}
function writeIovaRanges(call, address2, room, map) {
  const { memory } = call.caller;
  let size = iovaRanges.bytes.length;
  let count = 0;
  for (const { first, last } of map.ranges.usable()) {
    if (size + range.bytes.length <= room) {
      range.start = first;
      range.end = last;
      copyOut(memory, address2 + size, range.bytes, "the capability IOVA_RANGE");
    }
    size += range.bytes.length;
    count++;
  }
  iovaRanges.nrIovas = count;
  if (size <= room) copyOut(memory, address2, iovaRanges.bytes, "the capability IOVA_RANGE");
  return size;
}
function pageSizes(map) {
  const small = BigInt(PAGE_SIZE - 1);
  let sizes = LAST_IOVA;
  for (const domain of map.domains) sizes &= domain.pageSizes;
  if (sizes & small) sizes = sizes & ~small | BigInt(PAGE_SIZE);
  return sizes > map.alignment ? sizes : map.alignment;
}

// src/iommufd/vfio-compat.ts
function vfioIoas(call, request) {
  const { context } = call;
  switch (request.op) {
    case VfioIoasOp.GET:
      request.ioasId = compatIoas(context).id;
      call.respond();
      return;
    case VfioIoasOp.SET:
      context.vfioIoas = context.objects.get(request.ioasId, Ioas, "ioas_id");
      return;
    case VfioIoasOp.CLEAR:
      context.vfioIoas = void 0;
      return;
    default:
      throw new Errno("EOPNOTSUPP", `op ${request.op} is none of GET, SET and CLEAR`);
  }
}
function compatIoas(context) {
  if (context.vfioIoas === void 0)
    throw new Errno("ENODEV", "no IOAS has been set for VFIO's ioctls: VFIO_IOAS does it, or attaching a group");
  return context.vfioIoas;
}
function containerIoctl(call, caller, command2, argument) {
  const { context } = call;
  switch (command2) {
    case VfioGetApiVersion.number:
      return VFIO_API_VERSION;
    case VfioCheckExtension.number:
      return checkExtension(context, argument) ? 1 : 0;
    case VfioSetIommu.number:
      setIommu(context, argument);
      return 0;
    case VfioIommuGetInfo.number:
      begin(call, caller, VfioIommuGetInfo, argument);
      iommuGetInfo(call, argument, VfioIommuGetInfo.view, compatIoas(context).map);
      return 0;
    case VfioIommuMapDma.number:
      begin(call, caller, VfioIommuMapDma, argument);
      mapDma(call, VfioIommuMapDma.view);
      return 0;
    case VfioIommuUnmapDma.number:
      begin(call, caller, VfioIommuUnmapDma, argument);
      unmapDma(call, VfioIommuUnmapDma.view);
      return 0;
    default:
      throw new Errno("ENOTTY", `${hex(command2)} is neither an ioctl of /dev/iommu nor of a VFIO container`);
  }
}
function begin(call, caller, command2, address2) {
  const argsz = readVfioCommand(caller.memory, address2, command2);
  checkFields(command2);
  call.begin(caller, command2, address2, argsz);
}
function checkExtension(context, extension) {
  switch (extension) {
    case VfioExtension.TYPE1_IOMMU:
    case VfioExtension.TYPE1v2_IOMMU:
    case VfioExtension.UNMAP_ALL:
    case VfioExtension.NOIOMMU_IOMMU:
      return true;
    case VfioExtension.DMA_CC_IOMMU:
      return compatIoas(context).hwpts.every((hwpt) => hwpt.enforcesCacheCoherency);
    default:
      return false;
  }
}
function setIommu(context, type) {
  if (type !== VfioExtension.TYPE1_IOMMU && type !== VfioExtension.TYPE1v2_IOMMU)
    throw new Errno("EINVAL", `type ${type} is neither TYPE1_IOMMU nor TYPE1v2_IOMMU`);
  const ioas = compatIoas(context);
  if (type === VfioExtension.TYPE1_IOMMU) ioas.map.disableLargePages();
}
function mapDma(call, map) {
  const readable = map.flags & VfioDmaMapFlags.READ ? READ : 0;
  const writeable = map.flags & VfioDmaMapFlags.WRITE ? WRITE : 0;
  mapUserMemory(call, compatIoas(call.context), map.vaddr, map.size, map.iova, readable | writeable | CACHE);
}
function unmapDma(call, unmap) {
  const { map } = compatIoas(call.context);
  const { iova, size, flags: flags2 } = unmap;
  const all = (flags2 & VfioDmaUnmapFlags.ALL) !== 0;
  if (all && (iova !== 0n || size !== 0n))
    throw new Errno("EINVAL", `with the flag ALL iova and size must be 0, and are ${hex(iova)} and ${hex(size)}`);
  if (!all && map.largePagesDisabled) cutOut(map, iova, size);
  const done = { bytes: 0n };
  try {
    if (all) map.unmap(0n, LAST_IOVA, done);
    else {
      if (size === 0n) throw new Errno("EINVAL", "size is 0");
      if (iova + size - 1n > LAST_IOVA)
        throw new Errno("EOVERFLOW", `iova ${hex(iova)} + size ${hex(size)} goes beyond the 64-bit space`);
      map.unmap(iova, iova + size - 1n, done);
    }
  } finally {
    unmap.size = done.bytes;
    call.respond();
  }
}
function cutOut(map, iova, size) {
  cutAfter(map, BigInt.asUintN(64, iova + size - 1n));
  if (iova !== 0n) cutAfter(map, iova - 1n);
}

// src/iommufd/ioctls.ts
var FIRST = 128;
function on2(command2, handler) {
  const { view } = command2;
  return { command: command2, handle: (call) => handler(call, view) };
}
var served = [
  on2(Destroy, destroy),
  on2(IoasAlloc, ioasAlloc),
  on2(IoasAllowIovas, ioasAllowIovas),
  on2(IoasCopy, ioasCopy),
  on2(IoasIovaRanges, ioasIovaRanges),
  on2(IoasMap, ioasMap),
  on2(IoasUnmap, ioasUnmap),
  on2(Option, option),
  on2(VfioIoas, vfioIoas),
  on2(HwptAlloc, hwptAlloc),
  on2(GetHwInfo, getHwInfo),
  on2(HwptSetDirtyTracking, hwptSetDirtyTracking),
  on2(HwptGetDirtyBitmap, hwptGetDirtyBitmap),
  on2(HwptInvalidate, hwptInvalidate),
  on2(FaultQueueAlloc, faultQueueAlloc),
  on2(IoasMapFile, ioasMapFile),
  on2(ViommuAlloc, viommuAlloc),
  on2(VdeviceAlloc, vdeviceAlloc),
  on2(IoasChangeProcess, ioasChangeProcess),
  on2(VeventqAlloc, veventqAlloc),
  on2(HwQueueAlloc, hwQueueAlloc),
  on2(IoasNoiommuGetPa, noiommuGetPa)
];
function tableOf(entries, lastNumber) {
  const table = new Array(lastNumber - FIRST + 1).fill(void 0);
  for (const entry of entries) table[(entry.command.number & 255) - FIRST] = entry;
  return table;
}
var commands = tableOf(served, 149);
var commandsWithTests = tableOf([...served, on2(TestCommand, testCommand)], 160);
var IommufdFile = class {
  path;
  context;
  #call;
  #table;
  /** @param path "/dev/iommu", or "/dev/vfio/vfio", which counts memory as VFIO does */
  constructor(platform, path = "/dev/iommu") {
    this.path = path;
    this.context = new Context(platform, path === "/dev/vfio/vfio");
    this.#call = new Call(this.context);
    this.#table = platform.selftest === void 0 ? commands : commandsWithTests;
  }
  ioctl(caller, command2, argument) {
    const index = (command2 & 255) - FIRST;
    if (index < 0 || index >= this.#table.length) return containerIoctl(this.#call, caller, command2, argument);
    const entry = this.#table[index];
    if (entry === void 0 || entry.command.number !== command2) {
      readSize(caller.memory, argument);
      throw new Errno("ENOTTY", `${hex(command2)} is not an ioctl of /dev/iommu`);
    }
    const callerSize = readCommand(caller.memory, argument, entry.command);
    checkFields(entry.command);
    this.#call.begin(caller, entry.command, argument, callerSize);
    entry.handle(this.#call);
    return 0;
  }
  mmap(offset, length) {
    return this.context.mmapRegions.map(offset, length);
  }
  release() {
    this.context.drop();
  }
};
function destroy(call, args) {
  const { objects, platform } = call.context;
  const object = objects.any(args.id, "id");
  if (object.users > 1) platform.settle();
  objects.remove(object);
}

// src/memory/pin-counts.ts
var PAGES_PER_CHUNK = 512;
var CHUNKS_PER_BLOCK = 512;
var PAGES_PER_BLOCK = PAGES_PER_CHUNK * CHUNKS_PER_BLOCK;
var INT16_LIMIT = 32767;
var PinCounts = class {
  #whole = 0;
  #chunks;
  #pages;
  /** The sum over all pages of the block. */
  total = 0;
  /** How often `page` (0 to PAGES_PER_BLOCK - 1) is pinned. */
  of(page) {
    const chunk = page >>> 9;
    return this.#whole + (this.#chunks?.[chunk] ?? 0) + (this.#pages?.[chunk]?.[page & 511] ?? 0);
  }
  /** Adds `change` to each of `count` pages from `first` on; the range lies within the block. */
  add(first, count, change) {
    this.total += count * change;
    if (count === PAGES_PER_BLOCK) {
      this.#whole += change;
      return;
    }
    const end = first + count;
    for (let at = first; at < end; ) {
      const chunk = at >>> 9;
      const chunkEnd = Math.min(chunk + 1 << 9, end);
      if (chunkEnd - at === PAGES_PER_CHUNK) this.#addChunk(chunk, change);
      else this.#addPages(chunk, at & 511, chunkEnd - at, change);
      at = chunkEnd;
    }
  }
  #addChunk(chunk, change) {
    this.#chunks ??= new Int32Array(CHUNKS_PER_BLOCK);
    this.#chunks[chunk] += change;
  }
  #addPages(chunk, from, count, change) {
    this.#pages ??= new Array(CHUNKS_PER_BLOCK);
    let counts = this.#pages[chunk] ?? new Int16Array(PAGES_PER_CHUNK);
    for (let page = from; page < from + count; page++) {
      const next = counts[page] + change;
      if (Math.abs(next) > INT16_LIMIT && counts instanceof Int16Array) counts = Int32Array.from(counts);
      counts[page] = next;
    }
    this.#pages[chunk] = counts;
  }
};

// src/memory/frames.ts
var FIRST_FRAME = 2 ** 24;
var SCATTER = 40501;
var GATHER_PAGES = inverseOfOdd(SCATTER, PAGES_PER_BLOCK);
var GATHER_CHUNKS = inverseOfOdd(SCATTER, 512);
var Frames = class {
  contiguity;
  #blocks = /* @__PURE__ */ new Map();
  /** By position in physical memory, for the way back from a frame; a hole is a block that was freed. */
  #slots = [];
  #freeSlots = [];
  #lastBlock;
  /** The block that lost its last pin most recently. It stays, because what was just unmapped is often mapped again. */
  #idle;
  /** The sum over all pages of how often each is pinned. */
  pinned = 0;
  constructor(contiguity2 = "as-addresses") {
    this.contiguity = contiguity2;
  }
  /** Pins `count` pages of a backing from `page` on, once more each. */
  pin(backing, page, count) {
    this.pinned += count;
    for (let at = page; at < page + count; ) {
      const block = this.#blockAt(backing, at) ?? this.#addBlock(backing, Math.floor(at / PAGES_PER_BLOCK));
      const offset = at - block.index * PAGES_PER_BLOCK;
      const length = Math.min(PAGES_PER_BLOCK - offset, page + count - at);
      block.pins.add(offset, length, 1);
      at += length;
    }
  }
  /** Takes one pin from each of `count` pages that are pinned. A block without pins gives its frames back. */
  unpin(backing, page, count) {
    this.pinned -= count;
    for (let at = page; at < page + count; ) {
      const block = this.#blockAt(backing, at);
      const offset = at - block.index * PAGES_PER_BLOCK;
      const length = Math.min(PAGES_PER_BLOCK - offset, page + count - at);
      block.pins.add(offset, length, -1);
      if (block.pins.total === 0) this.#retire(block);
      at += length;
    }
  }
  /** How often a page is pinned. */
  pins(backing, page) {
    const block = this.#blockAt(backing, page);
    return block === void 0 ? 0 : block.pins.of(page - block.index * PAGES_PER_BLOCK);
  }
  /** The frame of a page, or -1 when nothing near it is pinned. */
  frameOf(backing, page) {
    const block = this.#blockAt(backing, page);
    return block === void 0 ? -1 : block.base + this.#scatter(page - block.index * PAGES_PER_BLOCK);
  }
  /** Appends the frames of `count` pinned pages from `page` on to `into`. */
  runs(backing, page, count, into) {
    for (let at = page; at < page + count; ) {
      const block = this.#blockAt(backing, at);
      const offset = at - block.index * PAGES_PER_BLOCK;
      const stretch = this.#stretchFrom(offset);
      const length = Math.min(stretch, page + count - at);
      into.add(block.base + this.#scatter(offset), length);
      at += length;
    }
  }
  /** What a frame holds; undefined when it is not memory, or memory that nothing near by is pinned in. */
  locate(frame) {
    const slot = Math.floor((frame - FIRST_FRAME) / this.#slotSize);
    const block = this.#slots[slot];
    if (block === void 0 || frame < FIRST_FRAME) return void 0;
    const offset = frame - block.base;
    if (offset >= PAGES_PER_BLOCK) return void 0;
    return { backing: block.backing, page: block.index * PAGES_PER_BLOCK + this.#gather(offset) };
  }
  /** Blocks in use: 0 when nothing is pinned. */
  get blocks() {
    const idle = this.#idle?.pins.total === 0 ? 1 : 0;
    return this.#slots.length - this.#freeSlots.length - idle;
  }
  /** Frames from one slot to the next: with "1G" a gap keeps neighbouring blocks apart. */
  get #slotSize() {
    return this.contiguity === "1G" ? PAGES_PER_BLOCK * 2 : PAGES_PER_BLOCK;
  }
  #blockAt(backing, page) {
    const index = Math.floor(page / PAGES_PER_BLOCK);
    const last = this.#lastBlock;
    if (last !== void 0 && last.backing === backing && last.index === index) return last;
    const block = this.#blocks.get(backing)?.get(index);
    if (block !== void 0) this.#lastBlock = block;
    return block;
  }
  #addBlock(backing, index) {
    const slot = this.#freeSlots.pop() ?? this.#slots.length;
    const block = { backing, index, base: FIRST_FRAME + slot * this.#slotSize, pins: new PinCounts() };
    this.#slots[slot] = block;
    let ofBacking = this.#blocks.get(backing);
    if (ofBacking === void 0) {
      ofBacking = /* @__PURE__ */ new Map();
      this.#blocks.set(backing, ofBacking);
    }
    ofBacking.set(index, block);
    this.#lastBlock = block;
    return block;
  }
  #retire(block) {
    const before = this.#idle;
    if (before !== void 0 && before !== block && before.pins.total === 0) this.#removeBlock(before);
    this.#idle = block;
  }
  #removeBlock(block) {
    const slot = (block.base - FIRST_FRAME) / this.#slotSize;
    this.#slots[slot] = void 0;
    this.#freeSlots.push(slot);
    const ofBacking = this.#blocks.get(block.backing);
    ofBacking.delete(block.index);
    if (ofBacking.size === 0) this.#blocks.delete(block.backing);
    if (this.#lastBlock === block) this.#lastBlock = void 0;
  }
  /** Where a page lies in its block, in frames. */
  #scatter(offset) {
    if (this.contiguity === "4K") return Math.imul(offset, SCATTER) & PAGES_PER_BLOCK - 1;
    if (this.contiguity === "2M") return (Math.imul(offset >>> 9, SCATTER) & 511) << 9 | offset & 511;
    return offset;
  }
  /** The page that lies at a place in its block. */
  #gather(place) {
    if (this.contiguity === "4K") return Math.imul(place, GATHER_PAGES) & PAGES_PER_BLOCK - 1;
    if (this.contiguity === "2M") return (Math.imul(place >>> 9, GATHER_CHUNKS) & 511) << 9 | place & 511;
    return place;
  }
  /** How many pages from `offset` on lie side by side within the block. */
  #stretchFrom(offset) {
    if (this.contiguity === "4K") return 1;
    if (this.contiguity === "2M") return 512 - (offset & 511);
    return PAGES_PER_BLOCK - offset;
  }
};
function inverseOfOdd(odd, modulus) {
  let inverse = odd;
  for (let bits = 3; bits < 32; bits *= 2) inverse = Math.imul(inverse, 2 - Math.imul(odd, inverse));
  return inverse & modulus - 1;
}

// src/memory/memlock.ts
var Memlock = class {
  #users = /* @__PURE__ */ new Map();
  #spaces = /* @__PURE__ */ new Map();
  /**
   * Counts `pages` more for the owner or the address space.
   * @throws ENOMEM when that would exceed the owner's RLIMIT_MEMLOCK; nothing is counted then
   */
  charge(mode, owner, space, pages) {
    if (mode === "none") return;
    const limit = Math.floor(owner.memlockLimit() / PAGE_SIZE);
    const now = this.counted(mode, owner, space);
    if (now + pages > limit)
      throw new Errno(
        "ENOMEM",
        `${mode === "user" ? `user ${owner.uid}` : space.name} has ${now} pages locked, and ${pages} more exceed RLIMIT_MEMLOCK (${limit} pages)`
      );
    this.#set(mode, owner, space, now + pages);
  }
  /** Counts `pages` fewer, which were charged with the same arguments before. */
  uncharge(mode, owner, space, pages) {
    if (mode !== "none") this.#set(mode, owner, space, this.counted(mode, owner, space) - pages);
  }
  /** Pages that are counted now. */
  counted(mode, owner, space) {
    if (mode === "none") return 0;
    return (mode === "user" ? this.#users.get(owner.uid) : this.#spaces.get(space)) ?? 0;
  }
  #set(mode, owner, space, pages) {
    if (mode === "user") setOrDelete(this.#users, owner.uid, pages);
    else setOrDelete(this.#spaces, space, pages);
  }
};
function setOrDelete(map, key, value) {
  if (value === 0) map.delete(key);
  else map.set(key, value);
}

// src/vfio/vf-token.ts
var UUID_SIZE = 16;
var VfToken = class {
  /** What was set last; nothing that a program knows until then. */
  #uuid;
  /** How many virtual functions are open. */
  users = 0;
  matches(uuid) {
    return this.#uuid?.every((byte, index) => byte === uuid[index]) ?? false;
  }
  set(uuid) {
    this.#uuid = uuid;
  }
};
function checkToken(role, uuid, name) {
  switch (role.kind) {
    case "none":
      if (uuid) throw new Errno("EINVAL", `a VF token is given, and ${name} is neither a physical nor a virtual function`);
      return;
    case "physical":
      if (role.token.users > 0) requireMatch(role.token, uuid, name);
      else if (uuid) role.token.set(uuid);
      return;
    case "virtual":
      if (role.token) requireMatch(role.token, uuid, name);
      else if (uuid) throw new Errno("EINVAL", `a VF token is given, and the physical function of ${name} isn't VFIO's`);
  }
}
function requireMatch(token, uuid, name) {
  if (!uuid) throw new Errno("EACCES", `${name} takes a VF token, and none is given`);
  if (!token.matches(uuid)) throw new Errno("EACCES", `the VF token isn't the one that ${name} takes`);
}

// src/vfio/feature.ts
var { GET, SET, PROBE } = VfioDeviceFeatureFlags;
function deviceFeature(device, args, memory, address2) {
  if (!(args.flags & PROBE) && args.flags & GET && args.flags & SET)
    throw new Errno("EINVAL", "flags has GET and SET, which only PROBE can ask for together");
  switch (args.feature) {
    case VfioFeature.MIG_PRECOPY_INFOv2:
      throw new Errno("EINVAL", `${device.name} can't migrate, so it has no pre-copy`);
    case VfioFeature.LOW_POWER_ENTRY:
      if (isToBeDone(args, SET, 0)) device.enterLowPower();
      return;
    case VfioFeature.LOW_POWER_EXIT:
      if (isToBeDone(args, SET, 0)) device.leaveLowPower();
      return;
    case VfioFeature.PCI_VF_TOKEN: {
      if (device.sriov.kind !== "physical") throw absent2(device, args);
      if (!isToBeDone(args, SET, UUID_SIZE)) return;
      const uuid = new Uint8Array(UUID_SIZE);
      copyIn(memory, address2 + VfioDeviceFeature.size, uuid, "the VF token");
      device.sriov.token.set(uuid);
      return;
    }
    default:
      throw absent2(device, args);
  }
}
function isToBeDone({ flags: flags2, argsz, feature }, supported, dataSize) {
  if (flags2 & (GET | SET) & ~supported)
    throw new Errno("EINVAL", `feature ${feature} can't be ${flags2 & GET & ~supported ? "read" : "set"}`);
  if (flags2 & PROBE) return false;
  if (!(flags2 & (GET | SET))) throw new Errno("EINVAL", "flags has none of GET, SET and PROBE");
  if (argsz - VfioDeviceFeature.size < dataSize)
    throw new Errno("EINVAL", `argsz is ${argsz}, and feature ${feature} takes ${dataSize} bytes more than the struct`);
  return true;
}
function absent2({ name }, { feature }) {
  const [known] = Object.entries(VfioFeature).find(([, number2]) => number2 === feature) ?? [];
  return new Errno("ENOTTY", `${name} doesn't have feature ${feature}${known === void 0 ? "" : ` (${known})`}`);
}

// src/vfio/irq.ts
var { EVENTFD, MASKABLE, AUTOMASKED, NORESIZE } = VfioIrqInfoFlags;
var { DATA_NONE, DATA_BOOL, DATA_EVENTFD } = VfioIrqSetFlags;
var DATA_TYPE_MASK = DATA_NONE | DATA_BOOL | DATA_EVENTFD;
var ACTION_TYPE_MASK = VfioIrqSetFlags.ACTION_MASK | VfioIrqSetFlags.ACTION_UNMASK | VfioIrqSetFlags.ACTION_TRIGGER;
function vectorsOf({ interruptPin, msiVectors, msix: msix2 }, index) {
  switch (index) {
    case VfioPciIrq.INTX:
      return interruptPin === 0 ? 0 : 1;
    case VfioPciIrq.MSI:
      return msiVectors;
    case VfioPciIrq.MSIX:
      return msix2?.vectors ?? 0;
    case VfioPciIrq.ERR:
    case VfioPciIrq.REQ:
      return 1;
    default:
      return 0;
  }
}
function getIrqInfo({ name, hardware }, info) {
  const { index } = info;
  if (index >= VFIO_PCI_NUM_IRQS)
    throw new Errno("EINVAL", `index is ${index}: ${name} has the interrupts 0 to ${VFIO_PCI_NUM_IRQS - 1}`);
  info.count = vectorsOf(hardware, index);
  info.flags = EVENTFD;
  if (index === VfioPciIrq.INTX) info.flags |= MASKABLE | AUTOMASKED;
  else if (index !== VfioPciIrq.MSIX) info.flags |= NORESIZE;
}
function setIrqs({ name, hardware }, set, memory, address2) {
  const { flags: flags2, index, start, count, argsz } = set;
  if (index >= VFIO_PCI_NUM_IRQS)
    throw new Errno("EINVAL", `index is ${index}: ${name} has the interrupts 0 to ${VFIO_PCI_NUM_IRQS - 1}`);
  if (flags2 & ~(DATA_TYPE_MASK | ACTION_TYPE_MASK)) throw new Errno("EINVAL", `flags has ${hex(flags2)}, with unknown bits`);
  const vectors = vectorsOf(hardware, index);
  if (start >= vectors || start + count > vectors)
    throw new Errno("EINVAL", `vectors ${start} to ${start + count - 1}, of the ${vectors} that interrupt ${index} has`);
  const bytes = count * bytesOfOne(flags2);
  if (argsz - VfioDeviceSetIrqs.size < bytes)
    throw new Errno("EINVAL", `argsz is ${argsz}, and the data of ${count} vectors takes ${bytes} more than the struct`);
  if (bytes > 0) copyIn(memory, address2 + VfioDeviceSetIrqs.size, new Uint8Array(bytes), "the data of SET_IRQS");
}
function bytesOfOne(flags2) {
  switch (flags2 & DATA_TYPE_MASK) {
    case DATA_NONE:
      return 0;
    case DATA_BOOL:
      return 1;
    case DATA_EVENTFD:
      return 4;
    default:
      throw new Errno("EINVAL", "flags must have one of DATA_NONE, DATA_BOOL and DATA_EVENTFD");
  }
}

// src/vfio/regions.ts
var OFFSET_SHIFT = 40n;
var { READ: READ2, WRITE: WRITE2 } = VfioRegionInfoFlags;
function getRegionInfo({ name, hardware, config }, info) {
  const { index } = info;
  if (index >= VfioPciRegion.VGA)
    throw new Errno("EINVAL", `index is ${index}: ${name} has the regions 0 to ${VfioPciRegion.CONFIG}, and no VGA`);
  let size = 0;
  if (index === VfioPciRegion.CONFIG) size = config.bytes.length;
  else size = hardware.bars.find((bar2) => bar2.index === index)?.size ?? 0;
  info.flags = size === 0 ? 0 : READ2 | WRITE2;
  info.size = BigInt(size);
  info.offset = BigInt(index) << OFFSET_SHIFT;
  info.capOffset = 0;
}

// src/vfio/cdev.ts
var VfioCdev = class {
  path;
  device;
  #isBound = false;
  constructor(device) {
    this.path = `/dev/vfio/devices/${device.cdevName}`;
    this.device = device;
  }
  ioctl(caller, command2, argument) {
    if (command2 === VfioDeviceBindIommufd.number) this.#bind(caller, argument);
    else if (!this.#isBound)
      throw new Errno("EINVAL", `this open of ${this.path} is not bound to an iommufd: BIND_IOMMUFD comes first`);
    else this.#serve(caller, command2, argument);
    return 0;
  }
  release() {
    if (!this.#isBound) return;
    this.#isBound = false;
    this.device.unbind();
  }
  #serve(caller, command2, argument) {
    switch (command2) {
      case VfioDeviceAttachIommufdPt.number:
        return this.#attach(caller, argument);
      case VfioDeviceDetachIommufdPt.number:
        return this.#detach(caller, argument);
      case VfioDeviceFeature.number:
        read(caller, argument, VfioDeviceFeature);
        checkFields(VfioDeviceFeature);
        return deviceFeature(this.device, VfioDeviceFeature.view, caller.memory, argument);
      case VfioDeviceGetInfo.number:
        return this.#getInfo(caller, argument);
      case VfioDeviceGetRegionInfo.number:
        read(caller, argument, VfioDeviceGetRegionInfo);
        getRegionInfo(this.device, VfioDeviceGetRegionInfo.view);
        return answer(caller, argument, VfioDeviceGetRegionInfo);
      case VfioDeviceGetIrqInfo.number:
        read(caller, argument, VfioDeviceGetIrqInfo);
        getIrqInfo(this.device, VfioDeviceGetIrqInfo.view);
        return answer(caller, argument, VfioDeviceGetIrqInfo);
      case VfioDeviceSetIrqs.number:
        read(caller, argument, VfioDeviceSetIrqs);
        return setIrqs(this.device, VfioDeviceSetIrqs.view, caller.memory, argument);
      case VfioDeviceReset.number:
        return this.device.reset();
      case VfioDeviceGetPciHotResetInfo.number:
        read(caller, argument, VfioDeviceGetPciHotResetInfo);
        throw this.#noBusReset();
      case VfioDevicePciHotReset.number:
        read(caller, argument, VfioDevicePciHotReset);
        checkFields(VfioDevicePciHotReset);
        if (VfioDevicePciHotReset.view.count !== 0)
          throw new Errno("EINVAL", "a device that was opened by its own file is reset without group fds: count must be 0");
        throw this.#noBusReset();
      default:
        throw new Errno("ENOTTY", `0x${command2.toString(16)} is not an ioctl of a VFIO PCI device`);
    }
  }
  /** VFIO_DEVICE_BIND_IOMMUFD */
  #bind(caller, argument) {
    readCommand(caller.memory, argument, VfioDeviceBindIommufd);
    const { iommufd, flags: flags2, tokenUuidPtr } = VfioDeviceBindIommufd.view;
    checkFields(VfioDeviceBindIommufd);
    if (iommufd < 0) throw new Errno("EINVAL", `iommufd is ${iommufd}, which is no fd`);
    if (this.#isBound) throw new Errno("EINVAL", `this open of ${this.path} is bound already`);
    let uuid;
    if (flags2 & VfioDeviceBindFlags.TOKEN) {
      uuid = new Uint8Array(UUID_SIZE);
      copyIn(caller.memory, tokenUuidPtr, uuid, "token_uuid_ptr");
    }
    checkToken(this.device.sriov, uuid, this.device.name);
    VfioDeviceBindIommufd.view.outDevid = this.device.bind(iommufdOf(caller, iommufd).context);
    try {
      respondField(caller.memory, argument, VfioDeviceBindIommufd, "outDevid");
    } catch (error) {
      this.device.unbind();
      throw error;
    }
    this.#isBound = true;
  }
  /** VFIO_DEVICE_ATTACH_IOMMUFD_PT */
  #attach(caller, argument) {
    const { view } = VfioDeviceAttachIommufdPt;
    const argsz = read(caller, argument, VfioDeviceAttachIommufdPt);
    checkFields(VfioDeviceAttachIommufdPt);
    const withPasid = (view.flags & VfioDeviceAttachFlags.PASID) !== 0;
    if (withPasid) readThrough(caller.memory, argument, VfioDeviceAttachIommufdPt, "pasid", argsz);
    view.ptId = withPasid ? this.device.attachPasid(view.pasid, view.ptId) : this.device.attach(view.ptId);
    try {
      respondField(caller.memory, argument, VfioDeviceAttachIommufdPt, "ptId");
    } catch (error) {
      this.device.detach();
      throw error;
    }
  }
  /** VFIO_DEVICE_DETACH_IOMMUFD_PT. No error when nothing is attached. */
  #detach(caller, argument) {
    const { view } = VfioDeviceDetachIommufdPt;
    const argsz = read(caller, argument, VfioDeviceDetachIommufdPt);
    checkFields(VfioDeviceDetachIommufdPt);
    if (view.flags & VfioDeviceDetachFlags.PASID) {
      readThrough(caller.memory, argument, VfioDeviceDetachIommufdPt, "pasid", argsz);
      this.device.detachPasid(view.pasid);
    } else this.device.detach();
  }
  /** VFIO_DEVICE_GET_INFO */
  #getInfo(caller, argument) {
    const argsz = read(caller, argument, VfioDeviceGetInfo);
    const { view } = VfioDeviceGetInfo;
    view.flags = VfioDeviceFlags.PCI | (this.device.hardware.canReset ? VfioDeviceFlags.RESET : 0);
    view.numRegions = VFIO_PCI_NUM_REGIONS;
    view.numIrqs = VFIO_PCI_NUM_IRQS;
    view.capOffset = 0;
    respond(caller.memory, argument, VfioDeviceGetInfo, argsz);
  }
  #noBusReset() {
    return new Errno("ENODEV", `${this.device.name} is on a root bus, which can't be reset`);
  }
};
function read(caller, argument, command2) {
  return readVfioCommand(caller.memory, argument, command2);
}
function answer(caller, argument, command2) {
  respond(caller.memory, argument, command2, command2.size);
}
function iommufdOf(caller, fd) {
  const found3 = caller.file(fd);
  if (found3 === void 0) throw new Errno("EBADF", `iommufd is ${fd}, which is not open`);
  if (found3.kind !== "ours" || !(found3.file instanceof IommufdFile))
    throw new Errno("EBADFD", `iommufd is ${fd}, which is not an open of /dev/iommu`);
  return found3.file;
}

// src/iommu/pci.ts
var PciDevice = class extends Device {
  pci;
  constructor(pci, driver, group, maxPasids, iommu) {
    super(pci.address, driver, group, maxPasids, iommu);
    this.pci = pci;
  }
};

// src/pagetable/formats/x86-64.ts
var P = 1 << 0;
var RW = 1 << 1;
var US = 1 << 2;
var A2 = 1 << 5;
var D2 = 1 << 6;
var PS = 1 << 7;
var ADDRESS_SHIFT2 = 12;
var ADDRESS_HIGH2 = 1048575;
var XD = 1 << 63 - 32;
var HIGHEST_LEVEL_OF_LEAVES = 2;
function level2(entryName, number2) {
  const itemLg2 = 12 + 9 * number2;
  const mayHoldLeaves = number2 <= HIGHEST_LEVEL_OF_LEAVES;
  const leaves2 = {
    entryName,
    itemLg2,
    indexBits: 9,
    leafSizes: mayHoldLeaves ? 1n << BigInt(itemLg2) : 0n,
    empty: { mask: P, value: 0 }
  };
  if (number2 === 0) return leaves2;
  return { ...leaves2, table: { mask: mayHoldLeaves ? P | PS : P, value: P }, tableBits: [P | RW | US | A2, 0] };
}
var x86_64 = {
  name: "x86-64",
  granuleLg2: 12,
  levels: ["PTE", "PDE", "PDPTE", "PML4E", "PML5E"].map(level2),
  lowestTopLevel: 3,
  maxVaBits: 57,
  maxPaBits: 52,
  tableAddressShift: ADDRESS_SHIFT2,
  // The hardware sets D, but Linux sets it first, in every page that may be written, so that the hardware need not.
  dirty: void 0,
  accessed: A2,
  contiguous: void 0,
  narrowsToTop: false,
  concatenatedTopsLg2: 0,
  alreadyMapped: "EADDRINUSE",
  outOfRange: "ERANGE",
  /** Every page can be read: the format has no bit against it. */
  checkProtection() {
  },
  storeLeaves(words, index, leaves2, level3, size, frame, protection) {
    let low = P | US | A2;
    if (protection & WRITE) low |= RW | D2;
    if (level3 > 0) low |= PS;
    storePages(words, index, leaves2, size, frame, ADDRESS_SHIFT2, low, 0);
  },
  leafFrame: (_level, low, high) => frameIn(low, high, ADDRESS_SHIFT2, ADDRESS_HIGH2),
  leafSize: (level3) => 9 * level3,
  leafProtection: (_level, low) => low & RW ? READ | WRITE : READ,
  describe(_level, low, high) {
    const lowNames = bitNames(low, [
      [P, "P"],
      [RW, "R/W"],
      [US, "U/S"],
      [A2, "A"],
      [D2, "D"],
      [PS, "PS"]
    ]);
    return [...lowNames, ...bitNames(high, [[XD, "XD"]])].join(" ");
  }
};

// src/iommu/drivers/amd/dte.ts
var V = 1n << 0n;
var TV = 1n << 1n;
var HAD = 3n << 7n;
var Mode = 7n << 9n;
var Mode_SHIFT = 9n;
var HostPageTableRootPtr = 0xffffffffff000n;
var PPR = 1n << 52n;
var GIOV = 1n << 54n;
var GV = 1n << 55n;
var GLX = 3n << 56n;
var GCR3_14_12 = 7n << 58n;
var IR2 = 1n << 61n;
var IW2 = 1n << 62n;
var GCR3_30_15 = 0xffffn << 16n;
var I = 1n << 32n;
var GCR3_51_31 = 0x1fffffn << 43n;
var GuestPagingMode = 3n << 54n;
var GuestPagingMode_SHIFT = 54n;
function blockedEntry() {
  return BigUint64Array.of(V, 0n, 0n, 0n);
}
function hostEntry({ root, levels, domainId, tracksDirty, ats }) {
  const entry = blockedEntry();
  entry[0] |= TV | BigInt(levels) << Mode_SHIFT | root & HostPageTableRootPtr | IR2 | IW2;
  if (tracksDirty) entry[0] |= HAD;
  entry[1] |= BigInt(domainId);
  if (ats) entry[1] |= I;
  return entry;
}
function guestEntry({ gcr3Table, levels, domainId, ats }) {
  const entry = blockedEntry();
  entry[0] |= TV | GIOV | GV | IR2 | IW2;
  setGcr3(entry, gcr3Table);
  entry[1] |= BigInt(domainId);
  if (ats) entry[1] |= I;
  entry[2] |= BigInt(levels - 4) << GuestPagingMode_SHIFT;
  return entry;
}
function setGcr3(entry, address2) {
  entry[0] |= (address2 >> 12n & 7n) << 58n;
  entry[1] |= (address2 >> 15n & 0xffffn) << 16n;
  entry[1] |= (address2 >> 31n & 0x1fffffn) << 43n;
}

// src/iommu/drivers/amd/domains.ts
var PA_BITS = 52;
var FIRST_TOP_LEVEL = 2;
var GCR3_V = 1;
var AmdBlockedDomain = class extends Domain {
  type = "blocked";
  attachDevice(device) {
    device.detach();
  }
  setDevicePasid() {
  }
  free() {
  }
};
var AmdPagingDomain = class extends PagingDomain {
  /** Tags what the IOMMU caches of it. */
  domainId;
  devices = /* @__PURE__ */ new Set();
  #driver;
  constructor(driver, table) {
    super(driver, table);
    this.#driver = driver;
    this.domainId = driver.domainIds.allocate();
  }
  attachDevice(device) {
    const amd2 = device;
    if (amd2.domain === this) return;
    if (this.dirtyTracking !== void 0 && !amd2.iommu.features.HDSup)
      throw new Errno("EINVAL", `the HWPT enforces dirty tracking, and the IOMMU of ${device.name} has no EFR.HDSup`);
    amd2.detach();
    amd2.attach(this);
  }
  enforceCacheCoherency() {
    return true;
  }
  free() {
    super.free();
    this.#driver.domainIds.free(this.domainId);
  }
};
var HostDomain = class extends AmdPagingDomain {
  constructor(driver, iommu, memory, tracksDirty) {
    const config = {
      vaBits: iommu.features.hostAddressBits,
      paBits: PA_BITS,
      topLevel: FIRST_TOP_LEVEL,
      growsTop: true,
      topChanged: () => this.#tellDevices()
    };
    super(driver, new PageTable(amdv1, config, memory));
    if (tracksDirty) this.dirtyTracking = new HostDirtyTracking(this);
  }
  entryFor({ atsEnabled }) {
    return hostEntry({
      root: this.table.topAddress,
      levels: this.table.topLevel + 1,
      domainId: this.domainId,
      tracksDirty: this.dirtyTracking?.enabled ?? false,
      ats: atsEnabled
    });
  }
  /** FC stands in every entry: snooping is not left to the device. */
  map(va, pa, count, protection, allowedSizes) {
    super.map(va, pa, count, protection | FORCE_COHERENCE, allowedSizes);
  }
  /** The table has a new root. */
  #tellDevices() {
    for (const device of this.devices) device.entry = this.entryFor(device);
  }
};
var HostDirtyTracking = class {
  enabled = false;
  #domain;
  constructor(domain) {
    this.#domain = domain;
  }
  set(enable) {
    for (const { entry } of this.#domain.devices) entry[0] = enable ? entry[0] | HAD : entry[0] & ~HAD;
    this.enabled = enable;
  }
};
var GuestDomain = class extends AmdPagingDomain {
  #memory;
  #levels;
  /** The Guest CR3 tables of the devices, by device: one root each, for requests without PASID. */
  #gcr3Tables = /* @__PURE__ */ new Map();
  constructor(driver, iommu, memory) {
    const levels = iommu.features.guestLevels;
    const config = { vaBits: levels * 9 + 12 - 1, paBits: PA_BITS, topLevel: levels - 1 };
    super(driver, new PageTable(x86_64, config, memory));
    this.#memory = memory;
    this.#levels = levels;
  }
  entryFor(device) {
    const frame = this.#gcr3Tables.get(device) ?? this.#makeGcr3Table(device);
    const gcr3Table = BigInt(frame) << BigInt(TABLE_FRAME_LG2);
    return guestEntry({ gcr3Table, levels: this.#levels, domainId: this.domainId, ats: device.atsEnabled });
  }
  /** Called when the device leaves the domain. */
  freeGcr3Table(device) {
    const frame = this.#gcr3Tables.get(device);
    if (frame === void 0) return;
    this.#memory.free(frame);
    this.#gcr3Tables.delete(device);
  }
  #makeGcr3Table(device) {
    const frame = this.#memory.allocate(TABLE_FRAME_LG2);
    const words = this.#memory.tableAt(frame);
    words[0] = Number(this.table.topAddress & 0xfffff000n) | GCR3_V;
    words[1] = Number(this.table.topAddress >> 32n);
    this.#gcr3Tables.set(device, frame);
    return frame;
  }
};

// src/iommu/drivers/amd/registers.ts
var DEFAULT_CAPABILITY_HEADER = 1 << 24 | 1 << 27;
var bit = (register, number2) => (register >> BigInt(number2) & 1n) === 1n;
var field = (register, first, bits) => Number(register >> BigInt(first) & (1n << BigInt(bits)) - 1n);
var AmdFeatures = class {
  /** Peripheral page requests. */
  PPRSup;
  /** Guest translation: the tables of the CPU's format. */
  GTSup;
  /** Host address translation size: 4, 5 or 6 levels; 3 is reserved, and means that there is none. */
  HATS;
  /** Guest address translation size: 0 four levels, 1 five. */
  GATS;
  /** One less than the bits of a PASID. */
  PASmax;
  /** Requests without a PASID can use the guest translation of PASID 0. */
  GIOSup;
  /** Enhanced PPR handling. */
  EPHSup;
  /** The host tables' dirty bit is kept. */
  HDSup;
  /** The device table may hold a guest's own pointer to its tables (EFR2). */
  GCR3TRPModeSup;
  /** Addresses of HyperTransport's window are translated like others (EFR2). */
  HtRangeIgnore;
  /** The IOMMU answers translation requests of devices with ATS. */
  IotlbSup;
  constructor({ efr, efr2, capabilityHeader }) {
    this.PPRSup = bit(efr, 1);
    this.GTSup = bit(efr, 4);
    this.HATS = field(efr, 10, 2);
    this.GATS = field(efr, 12, 2);
    this.PASmax = field(efr, 32, 5);
    this.GIOSup = bit(efr, 48);
    this.EPHSup = bit(efr, 50);
    this.HDSup = bit(efr, 52);
    this.GCR3TRPModeSup = bit(efr2, 3);
    this.HtRangeIgnore = bit(efr2, 11);
    this.IotlbSup = (capabilityHeader & 1 << 24) !== 0;
  }
  /** Whether there are host tables at all. */
  get hasHostTables() {
    return this.HATS !== 3;
  }
  /** Bits of an address that host tables translate. */
  get hostAddressBits() {
    return Math.min(64, (this.HATS + 3) * 9 + 21);
  }
  /** Whether the kernel can keep its own tables in the CPU's format. */
  get hasGuestTables() {
    return this.GTSup && this.GIOSup;
  }
  /** Levels of such a table, 4 or 5. Linux uses 5 only where the CPU has them too: taken for granted here. */
  get guestLevels() {
    return this.GATS === 1 ? 5 : 4;
  }
  get hasPasids() {
    return this.hasGuestTables && this.PPRSup && this.EPHSup;
  }
  get canNest() {
    return this.GTSup && this.GIOSup && this.GCR3TRPModeSup;
  }
};

// src/iommu/drivers/amd/device.ts
var AmdIommu = class {
  driver;
  registers;
  features;
  constructor(driver, registers) {
    this.driver = driver;
    this.registers = registers;
    this.features = new AmdFeatures(registers);
  }
  probe(pci, group) {
    return new AmdDevice(pci, group, this);
  }
};
var AmdDevice = class extends PciDevice {
  /** Its entry of the device table. */
  entry = blockedEntry();
  domain;
  constructor(pci, group, iommu) {
    const { features } = iommu;
    const pasids = features.GTSup ? 2 ** (features.PASmax + 1) - 1 : 0;
    super(pci, iommu.driver, group, pci.pasidBits === 0 ? 0 : Math.min(2 ** pci.pasidBits, pasids), iommu);
  }
  /** Linux looks for ATS only where PASIDs and page requests work too. */
  get canUseAts() {
    return this.iommu.features.IotlbSup && this.iommu.features.hasPasids && this.pci.ats;
  }
  /** ATS is on as long as something is attached. */
  get atsEnabled() {
    return this.canUseAts;
  }
  attach(domain) {
    this.entry = domain.entryFor(this);
    this.domain = domain;
    domain.devices.add(this);
  }
  /** Back to no DMA. */
  detach() {
    this.entry = blockedEntry();
    if (this.domain instanceof GuestDomain) this.domain.freeGcr3Table(this);
    this.domain?.devices.delete(this);
    this.domain = void 0;
  }
};

// src/iommu/drivers/id-pool.ts
var IdPool = class {
  #what;
  #first;
  #last;
  #whenTaken;
  #taken = /* @__PURE__ */ new Set();
  /** No number below this one is free. */
  #lowestFree;
  /**
   * @param what for the reason: "domain IDs of amd"
   * @param whenTaken what the driver answers when there are no more
   */
  constructor(what, first, last, whenTaken) {
    this.#what = what;
    this.#first = first;
    this.#last = last;
    this.#lowestFree = first;
    this.#whenTaken = whenTaken;
  }
  /** The lowest number that is free. */
  allocate() {
    let id = this.#lowestFree;
    while (this.#taken.has(id)) id++;
    if (id > this.#last) throw new Errno("ENOSPC", `all ${this.#last - this.#first + 1} ${this.#what} are taken`);
    this.#taken.add(id);
    this.#lowestFree = id + 1;
    return id;
  }
  free(id) {
    this.#taken.delete(id);
    this.#lowestFree = Math.min(this.#lowestFree, id);
  }
};

// src/iommu/drivers/amd.ts
var LAST_DOMAIN_ID = 65535;
var MSI_RANGE = { kind: "msi", first: 0xfee00000n, last: 0xfeefffffn };
var HT_RANGE = { kind: "reserved", first: 0xfd00000000n, last: 0xffffffffffn };
var { DIRTY_TRACKING, NEST_PARENT, PASID } = HwptAllocFlags;
var AmdDriver = class {
  name = "amd";
  blockedDomain = new AmdBlockedDomain(this);
  domainIds = new IdPool("domain IDs of amd", 1, LAST_DOMAIN_ID, "ENOMEM");
  #memory;
  constructor(memory) {
    this.#memory = memory;
  }
  addIommu(registers) {
    return new AmdIommu(this, registers);
  }
  capable(device, capability) {
    const amd2 = device;
    const { features } = amd2.iommu;
    switch (capability) {
      case "cache-coherency":
      case "enforce-cache-coherency":
        return true;
      case "dirty-tracking":
        return features.hasHostTables && features.HDSup;
      case "pci-ats":
        return amd2.canUseAts;
      default:
        return false;
    }
  }
  domainAllocPagingFlags(device, flags2, data) {
    const { iommu } = device;
    const { features } = iommu;
    const known = DIRTY_TRACKING | NEST_PARENT | PASID;
    if (flags2 & ~known) throw new Errno("EOPNOTSUPP", `amd: flags has ${hex(flags2 & ~known)}, which it doesn't know`);
    if (data !== void 0) throw new Errno("EOPNOTSUPP", "amd: a paging HWPT takes no data");
    if (flags2 & PASID && flags2 !== PASID)
      throw new Errno("EOPNOTSUPP", "amd: PASID asks for a guest table, and the other flags ask for a host table");
    if (flags2 & DIRTY_TRACKING && !this.capable(device, "dirty-tracking"))
      throw new Errno("EOPNOTSUPP", "amd: DIRTY_TRACKING takes EFR.HDSup, which is 0");
    if (flags2 & NEST_PARENT && !features.canNest)
      throw new Errno("EOPNOTSUPP", `amd: NEST_PARENT takes EFR.GTSup, EFR.GIOSup and EFR2.GCR3TRPModeSup: ${absent3(iommu)}`);
    if (flags2 === PASID) {
      if (!features.hasPasids)
        throw new Errno("EOPNOTSUPP", "amd: PASID takes EFR.GTSup, EFR.GIOSup, EFR.PPRSup and EFR.EPHSup: not all are 1");
      return new GuestDomain(this, iommu, this.#memory);
    }
    if (features.hasHostTables) return new HostDomain(this, iommu, this.#memory, (flags2 & DIRTY_TRACKING) !== 0);
    if (flags2 === 0 && features.hasGuestTables) return new GuestDomain(this, iommu, this.#memory);
    throw new Errno("EOPNOTSUPP", "amd: EFR.HATS is 3, so there are no host tables");
  }
  hwInfo(device, type) {
    if (type !== HwInfoType.NONE && type !== HwInfoType.AMD)
      throw new Errno("EOPNOTSUPP", `amd: in_data_type is ${hex(type)}, and it knows AMD only`);
    const { registers } = device.iommu;
    const info = HwInfoAmd.newView();
    info.efr = registers.efr;
    info.efr2 = registers.efr2;
    return { type: HwInfoType.AMD, bytes: info.bytes };
  }
  reservedRegions(device) {
    const { pci, iommu } = device;
    const regions = [...pci.firmwareRegions, MSI_RANGE];
    if (!iommu.features.HtRangeIgnore) regions.push(HT_RANGE);
    return regions;
  }
};
function absent3({ features }) {
  const names = ["GTSup", "GIOSup", "GCR3TRPModeSup"];
  return `${names.filter((name) => !features[name]).join(", ")} is 0`;
}

// src/machine/iommus.ts
var Drivers = class {
  #memory;
  #drivers = /* @__PURE__ */ new Map();
  constructor(memory) {
    this.#memory = memory;
  }
  add(description) {
    switch (description.driver) {
      case "amd": {
        const { EFR: efr, EFR2: efr2, CAPABILITY_HEADER: capabilityHeader } = description.registers;
        return this.#the("amd", AmdDriver).addIommu({ efr, efr2, capabilityHeader });
      }
      default:
        throw new Error(`no driver ${description.driver}`);
    }
  }
  #the(name, type) {
    let driver = this.#drivers.get(name);
    if (driver === void 0) {
      driver = new type(this.#memory);
      this.#drivers.set(name, driver);
    }
    return driver;
  }
};

// src/vfio/pci-config.ts
var COMMAND_IO = 1;
var COMMAND_MEMORY = 2;
var STATUS_CAPABILITIES_LIST = 1 << 4;
var BAR_IO = 1;
var BAR_64BIT = 4;
var BAR_PREFETCHABLE = 8;
var FIRST_BAR = 16;
var CAP_ID_MSI = 5;
var CAP_ID_PCIE = 16;
var CAP_ID_MSIX = 17;
var EXT_CAP_ID_ATS = 15;
var EXT_CAP_ID_PRI = 19;
var EXT_CAP_ID_PASID = 27;
var FIRST_CAPABILITY = 64;
var FIRST_EXTENDED_CAPABILITY = 256;
var PCIE_CAPABILITY_SIZE = 60;
var PCIE_VERSION = 2;
var PciConfig = class {
  /** The whole configuration space. */
  bytes;
  #view;
  /** Where the pointer to the next capability goes. */
  #link = 52;
  #free = FIRST_CAPABILITY;
  #freeExtended = FIRST_EXTENDED_CAPABILITY;
  constructor(hardware) {
    this.bytes = new Uint8Array(hardware.isExpress ? 4096 : 256);
    this.#view = new DataView(this.bytes.buffer);
    this.#header(hardware);
    if (hardware.isExpress) this.#expressCapability();
    if (hardware.msiVectors > 0) this.#msi(hardware.msiVectors);
    if (hardware.msix) this.#msix(hardware.msix);
    if (hardware.isExpress) this.#extendedCapabilities(hardware);
  }
  u8(at) {
    return this.#view.getUint8(at);
  }
  u16(at) {
    return this.#view.getUint16(at, true);
  }
  u32(at) {
    return this.#view.getUint32(at, true);
  }
  /** Where a capability is, 0 if there is none of that id. */
  capability(id) {
    let at = this.u8(52);
    while (at !== 0 && this.u8(at) !== id) at = this.u8(at + 1);
    return at;
  }
  #header(hardware) {
    const hasCapabilities = hardware.isExpress || hardware.msiVectors > 0 || hardware.msix !== void 0;
    const hasIo = hardware.bars.some(({ space }) => space === "io");
    const hasMemory = hardware.bars.some(({ space }) => space !== "io");
    this.#set16(0, hardware.vendorId);
    this.#set16(2, hardware.deviceId);
    this.#set16(4, (hasIo ? COMMAND_IO : 0) | (hasMemory ? COMMAND_MEMORY : 0));
    this.#set16(6, hasCapabilities ? STATUS_CAPABILITIES_LIST : 0);
    this.#set32(8, hardware.classCode * 256 + hardware.revision);
    for (const bar2 of hardware.bars) this.#bar(bar2);
    this.#set16(44, hardware.subsystemVendorId);
    this.#set16(46, hardware.subsystemId);
    this.bytes[61] = hardware.interruptPin;
  }
  #bar({ index, space, prefetchable, address: address2 }) {
    const at = FIRST_BAR + 4 * index;
    const kind = space === "io" ? BAR_IO : space === "memory64" ? BAR_64BIT : 0;
    this.#set32(at, Number(address2 & 0xffffffffn) + kind + (prefetchable ? BAR_PREFETCHABLE : 0));
    if (space === "memory64") this.#set32(at + 4, Number(address2 >> 32n));
  }
  /** Links a capability of `size` bytes into the list; returns where it is. */
  #addCapability(id, size) {
    const at = this.#free;
    this.bytes[this.#link] = at;
    this.bytes[at] = id;
    this.#link = at + 1;
    this.#free = at + size + 3 & ~3;
    return at;
  }
  #expressCapability() {
    const at = this.#addCapability(CAP_ID_PCIE, PCIE_CAPABILITY_SIZE);
    this.#set16(at + 2, PCIE_VERSION);
  }
  /** With a 64-bit address, and not masked per vector. */
  #msi(vectors) {
    const at = this.#addCapability(CAP_ID_MSI, 14);
    this.#set16(at + 2, Math.log2(vectors) << 1 | 1 << 7);
  }
  #msix({ vectors, bar: bar2, tableOffset, pendingOffset }) {
    const at = this.#addCapability(CAP_ID_MSIX, 12);
    this.#set16(at + 2, vectors - 1);
    this.#set32(at + 4, tableOffset | bar2);
    this.#set32(at + 8, pendingOffset | bar2);
  }
  #extendedCapabilities({ ats, pri, pasidBits }) {
    if (ats) this.#addExtendedCapability(EXT_CAP_ID_ATS, 8);
    if (pri) this.#addExtendedCapability(EXT_CAP_ID_PRI, 16);
    if (pasidBits > 0) this.#set16(this.#addExtendedCapability(EXT_CAP_ID_PASID, 8) + 4, pasidBits << 8);
  }
  /** The first one has a fixed place, each has the place of the next one in its own header. */
  #addExtendedCapability(id, size) {
    const at = this.#freeExtended;
    if (at !== FIRST_EXTENDED_CAPABILITY) this.#linkExtended(at);
    this.#set32(at, id | 1 << 16);
    this.#freeExtended = at + size;
    return at;
  }
  #linkExtended(to) {
    let at = FIRST_EXTENDED_CAPABILITY;
    while (this.u32(at) >>> 20 !== 0) at = this.u32(at) >>> 20;
    this.#set32(at, this.u32(at) + to * 2 ** 20);
  }
  #set16(at, value) {
    this.#view.setUint16(at, value, true);
  }
  #set32(at, value) {
    this.#view.setUint32(at, value, true);
  }
};

// src/vfio/device.ts
var LAST_PASID = 2147483647;
var VfioDevice = class {
  /** "vfio0": the name in /dev/vfio/devices. */
  cdevName;
  device;
  hardware;
  sriov;
  config;
  #bound;
  #isAttached = false;
  /** The PASIDs that were attached as such. PASID 0 can be: then it is the device itself that is attached. */
  #pasids = /* @__PURE__ */ new Set();
  #isInLowPower = false;
  constructor(cdevName, device, hardware, sriov) {
    this.cdevName = cdevName;
    this.device = device;
    this.hardware = hardware;
    this.sriov = sriov;
    this.config = new PciConfig(hardware);
  }
  /** "0000:00:03.0" */
  get name() {
    return this.device.name;
  }
  get isBound() {
    return this.#bound !== void 0;
  }
  /**
   * Gives the function to the program that has opened it.
   * @returns its id in the iommufd
   * @throws EINVAL when it has been given away already, and what bindDevice() throws
   */
  bind(context) {
    if (this.#bound !== void 0)
      throw new Errno("EINVAL", `${this.name} is bound already: a device can be bound by one open of its file only`);
    this.#bound = bindDevice(context, this.device);
    context.hold();
    if (this.sriov.kind === "virtual" && this.sriov.token) this.sriov.token.users++;
    return this.#bound.id;
  }
  /** Takes it back from the program that had it. */
  unbind() {
    const bound = this.#theBound();
    for (const pasid of [...this.#pasids].sort((a, b) => a - b)) this.detachPasid(pasid);
    this.detach();
    unbindDevice(bound);
    bound.context.drop();
    this.#bound = void 0;
    this.#isInLowPower = false;
    if (this.sriov.kind === "virtual" && this.sriov.token) this.sriov.token.users--;
  }
  /**
   * Attaches the device, or moves it to something else.
   * @returns the id of the HWPT
   */
  attach(ptId) {
    const bound = this.#theBound();
    const hwptId = this.#isAttached ? replaceDevice(bound, NO_PASID, ptId) : attachDevice(bound, NO_PASID, ptId);
    this.#isAttached = true;
    return hwptId;
  }
  /** Undoes attach(); no error when nothing is attached. */
  detach() {
    if (!this.#isAttached) return;
    detachDevice(this.#theBound(), NO_PASID);
    this.#isAttached = false;
  }
  /** The same for a PASID. */
  attachPasid(pasid, ptId) {
    const bound = this.#theBound();
    if (this.#pasids.has(pasid)) return replaceDevice(bound, pasid, ptId);
    if (pasid > LAST_PASID) throw new Errno("ENOSPC", `PASID ${pasid} is beyond the last one, ${LAST_PASID}`);
    const hwptId = attachDevice(bound, pasid, ptId);
    this.#pasids.add(pasid);
    return hwptId;
  }
  detachPasid(pasid) {
    if (!this.#pasids.delete(pasid)) return;
    detachDevice(this.#theBound(), pasid);
  }
  /** @throws EINVAL when Linux has no way to reset this function alone */
  reset() {
    if (!this.hardware.canReset) throw new Errno("EINVAL", `${this.name} can't be reset without others`);
  }
  /** @throws EINVAL when it is there already */
  enterLowPower() {
    if (this.#isInLowPower) throw new Errno("EINVAL", `${this.name} is in low power already`);
    this.#isInLowPower = true;
  }
  leaveLowPower() {
    this.#isInLowPower = false;
  }
  /** The callers are ioctls that a device answers only when it is bound. */
  #theBound() {
    if (this.#bound === void 0) throw new Error(`${this.name} is not bound`);
    return this.#bound;
  }
};

// src/machine/pci-bus.ts
var FIRST_ADDRESS = { memory32: 0xc0000000n, memory64: 0x8000000000n, io: 0x6000n };
var SMALLEST_WINDOW = 4096n;
var PciBus = class {
  /** In the order of the description: vfio0, vfio1 ... */
  vfioDevices = [];
  #groups = /* @__PURE__ */ new Map();
  #groupCount = 0;
  #tokens = /* @__PURE__ */ new Map();
  #addresses = /* @__PURE__ */ new Set();
  #free = { ...FIRST_ADDRESS };
  /**
   * Adds a function behind an IOMMU. VFIO takes it if the IOMMU's driver says that it is cache coherent.
   * @throws MachineDescriptionError
   */
  add(description, iommu) {
    const { address: address2 } = description;
    if (this.#addresses.has(address2)) throw new MachineDescriptionError(`two PCI functions have the address ${address2}`);
    this.#addresses.add(address2);
    const device = iommu.probe(functionOf(description), this.#groupOf(description));
    const sriov = this.#sriovRole(description);
    const hardware = this.#hardwareOf(description);
    if (!iommu.driver.capable(device, "cache-coherency")) return;
    this.vfioDevices.push(new VfioDevice(`vfio${this.vfioDevices.length}`, device, hardware, sriov));
  }
  #groupOf({ group: number2 }) {
    const known = number2 === void 0 ? void 0 : this.#groups.get(number2);
    if (known !== void 0) return known;
    const group = new Group(this.#groupCount++);
    if (number2 !== void 0) this.#groups.set(number2, group);
    return group;
  }
  #sriovRole({ address: address2, sriov, virtualFunctionOf }) {
    if (virtualFunctionOf !== void 0) return { kind: "virtual", token: this.#tokens.get(virtualFunctionOf) };
    if (!sriov) return { kind: "none" };
    const token = new VfToken();
    this.#tokens.set(address2, token);
    return { kind: "physical", token };
  }
  #hardwareOf(description) {
    return {
      vendorId: description.vendor,
      deviceId: description.device,
      subsystemVendorId: description.subsystemVendor,
      subsystemId: description.subsystem,
      revision: description.revision,
      classCode: description.class,
      bars: description.bars.map((bar2) => ({ ...bar2, address: this.#place(bar2.space, BigInt(bar2.size)) })),
      interruptPin: description.interruptPin,
      msiVectors: description.msiVectors,
      msix: description.msix,
      isExpress: description.express,
      ats: description.ats,
      pri: description.pri,
      pasidBits: description.pasidBits,
      canReset: description.canReset
    };
  }
  /** The next place that is aligned to the BAR's size. */
  #place(space, size) {
    const window = space !== "io" && size < SMALLEST_WINDOW ? SMALLEST_WINDOW : size;
    const address2 = this.#free[space] + window - 1n & ~(window - 1n);
    this.#free[space] = address2 + window;
    return address2;
  }
};
function functionOf(description) {
  const { address: address2, ats, pri, pasidBits, firmwareRegions } = description;
  return {
    address: address2,
    requesterId: requesterIdOf(address2),
    classCode: description.class,
    isVirtualFunction: description.virtualFunctionOf !== void 0,
    ats,
    pri,
    pasidBits,
    firmwareRegions
  };
}
function requesterIdOf(address2) {
  const [, bus, device, number2] = address2.split(/[:.]/).map((part) => Number.parseInt(part, 16));
  return bus * 256 + device * 8 + number2;
}

// src/machine/machine.ts
var IOMMUFD_PATHS = ["/dev/iommu", "/dev/vfio/vfio"];
var Machine = class {
  name;
  frames;
  tables = new TableMemory();
  /** The functions that VFIO has, in the order of their numbers. */
  vfioDevices;
  /** The paths that open() serves. */
  paths;
  #platform;
  #open = /* @__PURE__ */ new Set();
  /** What the platform calls to have closed files released; the host sets it. */
  settle = () => {
  };
  /** @throws MachineDescriptionError for parts that don't fit together */
  constructor(description) {
    this.name = description.name;
    this.frames = new Frames(description.memory?.contiguity);
    this.#platform = {
      frames: this.frames,
      memlock: new Memlock(),
      selftest: description.selftest ? new SelftestIommu(this.tables) : void 0,
      settle: () => this.settle()
    };
    const drivers = new Drivers(this.tables);
    const bus = new PciBus();
    for (const iommu of description.iommus) {
      const added = drivers.add(iommu);
      for (const device of iommu.devices) bus.add(device, added);
    }
    this.vfioDevices = bus.vfioDevices;
    this.paths = [...IOMMUFD_PATHS, ...this.vfioDevices.map(({ cdevName }) => `/dev/vfio/devices/${cdevName}`)];
  }
  /** A new open file for a path that is served, undefined for any other. */
  open(path) {
    if (IOMMUFD_PATHS.includes(path)) return new MachineFile(this.#platform, path, this.#open);
    const index = this.paths.indexOf(path);
    return index < 0 ? void 0 : new VfioCdev(this.vfioDevices[index - IOMMUFD_PATHS.length]);
  }
  /** What is still allocated: a line for each context, and for memory that nothing should hold any more. */
  leftovers() {
    const lines = [];
    for (const file of this.#open) {
      const kinds = /* @__PURE__ */ new Map();
      for (const object of file.context.objects) kinds.set(object.kind, (kinds.get(object.kind) ?? 0) + 1);
      const objects = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ");
      lines.push(`${file.path} is open${objects === "" ? "" : ` with ${objects}`}`);
    }
    for (const { cdevName, name, isBound } of this.vfioDevices)
      if (isBound) lines.push(`/dev/vfio/devices/${cdevName} (${name}) is open and bound`);
    if (this.frames.pinned > 0) lines.push(`${this.frames.pinned} pages are pinned`);
    if (this.tables.tablesInUse > 0) lines.push(`${this.tables.tablesInUse} page table pages are in use`);
    return lines;
  }
};
var MachineFile = class extends IommufdFile {
  #open;
  constructor(platform, path, open) {
    super(platform, path);
    this.#open = open;
    open.add(this);
  }
  release() {
    super.release();
    this.#open.delete(this);
  }
};

// src/trace/print.ts
function printCall(event) {
  const call = [`${event.fd}<${event.path}>`, printNumber(event), ...printArgument(event)].join(", ");
  return `${event.thread} ioctl(${call}) = ${printResult(event)}`;
}
function printNumber({ command: command2, number: number2 }) {
  if (command2) return command2.name;
  const nr = number2 & 255;
  return number2 === ioctlNumber(nr) ? `_IO(';', ${hex(nr)})` : hex(number2);
}
function printArgument({ command: command2, argument, before }) {
  if (command2 && "argument" in command2) return printPlainArgument(command2, argument);
  if (!command2 || !before) return [printPointer(argument)];
  return [printInputs(command2, before)];
}
function printPlainArgument({ argument: kind }, argument) {
  if (kind === "none") return [];
  if (kind === "pointer to fd" || kind === "pointer to string") return [printPointer(argument)];
  return [nameOf(argument, kind)];
}
function printResult({ command: command2, before, after, result }) {
  const outputs = command2 && "fields" in command2 && before && after ? printOutputs(command2, before, after) : "";
  if (result instanceof Errno) return `-1 ${result.code}${outputs}
     ${result.reason}`;
  return `${result}${outputs}`;
}
function printInputs(command2, before) {
  const { fields, view } = look(command2, before);
  const shown = fields.filter((field2) => field2.direction !== "out" && isInput(field2, view, command2));
  return `{${shown.map((field2) => printField(field2, view)).join(", ")}}`;
}
function isInput(field2, view, command2) {
  const value = readField(view, field2);
  if (isSizeField(field2)) return value !== command2.size;
  return !field2.filler || !isZero(value);
}
function printOutputs(command2, before, after) {
  const { fields, view } = look(command2, after);
  const shown = fields.filter(
    (field2) => field2.direction === "out" || field2.direction === "inout" && changed(field2, before, after)
  );
  return shown.length === 0 ? "" : ` {${shown.map((field2) => printField(field2, view)).join(", ")}}`;
}
function changed({ offset, size }, before, after) {
  return after.subarray(offset, offset + size).some((byte, index) => byte !== before[offset + index]);
}
function look(command2, bytes) {
  const description = variantIn(command2, bytes);
  const view = viewOf(description, bytes);
  return { fields: description.fields.filter((field2) => field2.offset + field2.size <= bytes.length), view };
}
function variantIn(command2, bytes) {
  const op = command2.fields.find((field2) => field2.name === "op");
  if (!command2.variantOf || !op) return command2;
  return command2.variantOf(Number(readField(viewOf(command2, bytes), op))) ?? command2;
}
var views = /* @__PURE__ */ new WeakMap();
function viewOf(description, bytes) {
  const view = views.get(description) ?? description.newView();
  views.set(description, view);
  view.bytes.fill(0).set(bytes.subarray(0, description.size));
  return view;
}
function printField(field2, view) {
  return `${field2.cName}=${printValue(field2, readField(view, field2))}`;
}
function printValue(field2, value) {
  if (typeof value !== "object") return printOne(field2, value);
  return `[${Array.from(value, (element) => printOne(field2, element)).join(", ")}]`;
}
function printOne(field2, value) {
  if (field2.scalar === "pointer") return printPointer(Number(value));
  if (field2.print === "flags") return printFlags(BigInt(value), field2.names);
  if (field2.print === "enum") return nameOf(Number(value), field2.names);
  if (field2.print === "hexadecimal" || value > Number.MAX_SAFE_INTEGER) return hex(value);
  return String(value);
}
function printPointer(address2) {
  return address2 === 0 ? "NULL" : hex(address2);
}
function printFlags(value, names) {
  if (value === 0n) return "0";
  const known = Object.entries(names).filter(([, bit2]) => (value & BigInt(bit2)) !== 0n);
  const unknown = known.reduce((rest, [, bit2]) => rest & ~BigInt(bit2), value);
  const parts = known.map(([name]) => name);
  if (unknown !== 0n) parts.push(hex(unknown));
  return parts.join("|");
}
function nameOf(value, names) {
  return Object.keys(names).find((name) => names[name] === value) ?? hex(value);
}
function isZero(value) {
  if (typeof value !== "object") return Number(value) === 0;
  return Array.from(value).every((element) => Number(element) === 0);
}
export {
  ArrayBacking,
  ArraySpace,
  Errno,
  Extents,
  Machine,
  MachineDescriptionError,
  PAGE_SIZE,
  PageTable,
  TableMemory,
  amdv1,
  amdv1Mock,
  decode,
  encode,
  parseMachineDescription,
  printCall,
  iommufd_exports as uapi
};
//# sourceMappingURL=index.js.map
