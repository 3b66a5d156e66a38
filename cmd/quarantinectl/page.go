package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// page is what a person reads, as wide as the terminal.
type page struct {
	bytes.Buffer
	width int
}

// line writes one line, with what a terminal would obey made visible.
func (p *page) line(format string, args ...any) {
	p.WriteString(printable(fmt.Sprintf(format, args...)))
	p.WriteByte('\n')
}

// paragraph writes text below an indentation, broken at spaces.
func (p *page) paragraph(indent, text string) {
	p.WriteString(indent + strings.Join(p.broken(len(indent), text), "\n"+indent) + "\n")
}

func (p *page) broken(indent int, s string) []string {
	lines := strings.Split(text.WrapSoft(printable(s), max(p.width-indent, minWrap)), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return lines
}

// fit says what happens to a column on a terminal that is too narrow.
type fit int

const (
	whole fit = iota // nothing: ids, dates
	cut              // it is cut, with "…" at the end
	wrap             // it is broken into lines
)

// column is a column of a grid.
type column struct {
	title string
	fit   fit
	// extra columns are left out, from the last on, where there is no room.
	extra bool
	right bool
}

const (
	gap     = 2
	minCut  = 12
	minWrap = 24
)

// grid writes rows below titles, as wide as the page.
func (p *page) grid(columns []column, rows [][]string) {
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
		}
	}
	widths, shown := layOut(columns, rows, p.width)
	w := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", strings.Repeat(" ", gap)
	style.Format.Header = text.FormatDefault
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
	var configs []table.ColumnConfig
	var header table.Row
	for n, i := range shown {
		c := columns[i]
		header = append(header, c.title)
		config := table.ColumnConfig{Number: n + 1, WidthMax: widths[i], WidthMaxEnforcer: text.WrapSoft}
		if c.fit == cut {
			config.WidthMaxEnforcer = func(s string, max int) string { return text.Snip(s, max, "…") }
		}
		if c.right {
			config.Align, config.AlignHeader = text.AlignRight, text.AlignRight
		}
		configs = append(configs, config)
	}
	w.SetColumnConfigs(configs)
	w.AppendHeader(header)
	for _, row := range rows {
		var cells table.Row
		for _, i := range shown {
			cells = append(cells, row[i])
		}
		w.AppendRow(cells)
	}
	p.WriteString(w.Render() + "\n")
}

// layOut chooses the columns that are shown and how wide each is.
func layOut(columns []column, rows [][]string, width int) (widths []int, shown []int) {
	widths = make([]int, len(columns))
	for i, c := range columns {
		widths[i] = text.StringWidthWithoutEscSequences(c.title)
		for _, row := range rows {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(row[i]))
		}
	}
	least := func(i int) int {
		switch columns[i].fit {
		case cut:
			return min(widths[i], minCut) + gap
		case wrap:
			return min(widths[i], minWrap) + gap
		}
		return widths[i] + gap
	}
	room := width + gap // there is no gap after the last
	for i, c := range columns {
		if !c.extra {
			room -= least(i)
		}
	}
	full := false
	for i, c := range columns {
		if c.extra {
			if full = full || room < least(i); full {
				continue
			}
			room -= least(i)
		}
		shown = append(shown, i)
	}
	// What room is left goes to the flexible columns, a letter at a time to
	// the narrowest that wants more.
	want := append([]int(nil), widths...)
	for _, i := range shown {
		widths[i] = least(i) - gap
	}
	for ; room > 0; room-- {
		narrowest := -1
		for _, i := range shown {
			if widths[i] < want[i] && (narrowest < 0 || widths[i] < widths[narrowest]) {
				narrowest = i
			}
		}
		if narrowest < 0 {
			break
		}
		widths[narrowest]++
	}
	return widths, shown
}
