package generic

import _ "embed"

//go:embed schema.json
var schema string

// Schema returns the JSON Schema (draft 2020-12) of the body that Decode
// reads. The decoder also checks what a schema cannot say: addresses, times
// and their order, and which fields go together.
func Schema() []byte { return []byte(schema) }
