package decision

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// lines reads lines in a way that a context can end, which a read from a terminal can't.
type lines struct {
	in      io.Reader
	pending chan line // of a read that has not been taken
	ended   bool
}

type line struct {
	text string
	err  error
}

// next returns the next line. After the end of the input it returns "", and ended is set.
func (l *lines) next(ctx context.Context) (string, error) {
	if l.ended {
		return "", nil
	}
	if l.pending != nil {
		select {
		case got := <-l.pending: // it answered a question that was withdrawn
			l.pending = nil
			if got.err != nil {
				l.ended = true
				return "", nil
			}
		default:
		}
	}
	if l.pending == nil {
		pending := make(chan line, 1)
		go func() { pending <- readLine(l.in) }()
		l.pending = pending
	}
	select {
	case <-ctx.Done():
		return "", errorf(ctx.Err(), "interrupted, nothing was sent")
	case got := <-l.pending:
		l.pending = nil
		l.ended = got.err != nil
		if l.ended && !errors.Is(got.err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", got.err)
		}
		return got.text, nil
	}
}

// readLine reads byte by byte, so that it takes nothing from the input but its line.
func readLine(in io.Reader) line {
	var text []byte
	for b := make([]byte, 1); ; {
		n, err := in.Read(b)
		if n == 1 && b[0] == '\n' {
			return line{text: string(text)}
		}
		text = append(text, b[:n]...)
		if err != nil {
			return line{text: string(text), err: err}
		}
	}
}
