package enginetest

import (
	"errors"
	"fmt"

	"leat.dev/leat/pkg/engine"
)

// seek moves a consumer, if there is one. The engine may trim meanwhile: where
// the place is brought into what is kept, any that this allows will do.
func (r *modelRun) seek(step call) error {
	m := r.m
	c := m.consumers[step.who]
	to := engine.Seq(step.n % (len(m.texts) + 3))
	if c == nil {
		if _, err := m.open.Seek(r.ctx, step.who, to); !errors.Is(err, engine.ErrNoConsumer) {
			return fmt.Errorf("there is no such consumer: %w", err)
		}
		return nil
	}
	to = max(1, min(to, m.head()+1))
	latest := max(to, m.limit())
	got, err := m.open.Seek(r.ctx, step.who, to)
	if err != nil {
		return err
	}
	if got.Place < to || got.Place > latest {
		return fmt.Errorf("the place is %d, by the model %d to %d", got.Place, to, latest)
	}
	return c.moved(m, got)
}

// moved forgets all that was not settled, but for what is in flight.
func (c *modelConsumer) moved(m *modelStream, got engine.Sought) error {
	want := engine.Sought{Place: got.Place}
	rows := map[engine.Seq]*modelRow{}
	for seq := engine.Seq(1); seq <= m.head(); seq++ {
		old := c.rows[seq]
		switch {
		case seq < got.Place && old != nil:
			want.Skipped++
		case seq >= got.Place && old == nil:
			want.Again++
		}
		if old != nil && old.state == flying {
			c.left[seq] = true
		}
		if seq >= got.Place {
			rows[seq] = &modelRow{}
		}
		if seq >= got.Place && c.left[seq] {
			rows[seq].state = ready // when it is settled, in any order with new ones
		}
	}
	c.rows = rows
	if got != want {
		return fmt.Errorf("the answer is %+v, by the model %+v", got, want)
	}
	return nil
}
