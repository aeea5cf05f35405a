package build

import (
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"

	"leat.dev/leat/pkg/routing"
)

// filter reads a Trigger's filters. An empty list of filters does not override
// the attributes.
func filter(spec *eventingv1.TriggerSpec) routing.Filter {
	f := routing.Filter{Filters: exprs(spec.Filters)}
	if spec.Filter != nil && len(spec.Filter.Attributes) > 0 {
		f.Attributes = spec.Filter.Attributes
	}
	return f
}

func exprs(filters []eventingv1.SubscriptionsAPIFilter) []routing.Expr {
	var list []routing.Expr
	for i := range filters {
		list = append(list, expr(&filters[i]))
	}
	return list
}

// expr reads one filter. The webhook allows one dialect in each; were there
// several, all of them would have to be true.
func expr(f *eventingv1.SubscriptionsAPIFilter) routing.Expr {
	var dialects []routing.Expr
	if len(f.All) > 0 {
		dialects = append(dialects, routing.Expr{All: exprs(f.All)})
	}
	if len(f.Any) > 0 {
		dialects = append(dialects, routing.Expr{Any: exprs(f.Any)})
	}
	if f.Not != nil {
		not := expr(f.Not)
		dialects = append(dialects, routing.Expr{Not: &not})
	}
	if len(f.Exact) > 0 {
		dialects = append(dialects, routing.Expr{Exact: f.Exact})
	}
	if len(f.Prefix) > 0 {
		dialects = append(dialects, routing.Expr{Prefix: f.Prefix})
	}
	if len(f.Suffix) > 0 {
		dialects = append(dialects, routing.Expr{Suffix: f.Suffix})
	}
	if f.CESQL != "" {
		dialects = append(dialects, routing.Expr{CESQL: f.CESQL})
	}
	switch len(dialects) {
	case 0:
		return routing.Expr{}
	case 1:
		return dialects[0]
	default:
		return routing.Expr{All: dialects}
	}
}
