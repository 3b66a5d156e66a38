package measure

import (
	"fmt"
	"io"
)

// Verdict is a measure and its bar.
type Verdict struct {
	Name  string
	Value float64
	Unit  string
	Bar   float64
	// AtMost: the value must not exceed the bar. Else it must reach it.
	AtMost bool
}

// OK reports whether the value holds the bar.
func (v Verdict) OK() bool {
	if v.AtMost {
		return v.Value <= v.Bar
	}
	return v.Value >= v.Bar
}

// String is the measure's line: NAME VALUE UNIT bar BAR ok|short.
func (v Verdict) String() string {
	word := "short"
	if v.OK() {
		word = "ok"
	}
	return fmt.Sprintf("%s %.3f %s bar %.2f %s", v.Name, v.Value, v.Unit, v.Bar, word)
}

// Print writes a line for each measure and reports whether all hold their bars.
func Print(w io.Writer, vs []Verdict) bool {
	all := true
	for _, v := range vs {
		fmt.Fprintln(w, v)
		all = all && v.OK()
	}
	return all
}
