package main

import (
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progressBar shows how far a long work is, on standard error where that is a
// terminal; else it shows nothing. It is used by one goroutine.
type progressBar struct {
	out      io.Writer // nil: nothing is shown
	what     string
	bytes    bool
	progress *mpb.Progress
	bar      *mpb.Bar
}

// newProgress makes a bar, which appears with the first progress. With bytes
// what is counted are bytes, and told.
func (a *app) newProgress(what string, bytes bool) *progressBar {
	p := &progressBar{what: what, bytes: bytes}
	if a.screen.stderr {
		p.out = a.stderr
	}
	return p
}

// at tells how much is done.
func (p *progressBar) at(done, total uint64) {
	if p.out == nil {
		return
	}
	if p.bar == nil {
		before := []decor.Decorator{decor.Name(p.what + " ")}
		if p.bytes {
			before = append(before, decor.CountersKibiByte("% .1f / % .1f"))
		}
		p.progress = mpb.New(mpb.WithOutput(p.out), mpb.WithAutoRefresh())
		p.bar = p.progress.AddBar(0, mpb.PrependDecorators(before...),
			mpb.AppendDecorators(decor.NewPercentage("%d"), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	p.bar.SetTotal(int64(total), false)
	p.bar.SetCurrent(int64(done))
}

// end takes the bar off and waits until the terminal is clean.
func (p *progressBar) end() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.progress.Wait()
		p.out, p.bar = nil, nil
	}
}
