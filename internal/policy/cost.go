package policy

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// costLimit bounds the evaluation of one rule, in CEL's own units: a hostile
// or clumsy expression ends with an error instead of eating the daemon.
const costLimit = 1_000_000

// bounded gives the options that bound an expression's evaluation. CEL counts the cost
// of each step, which takes as long as the step; what is bounded by the sizes of the
// expression and of what it looks at needs no counting.
func bounded(expression *cel.Ast) []cel.ProgramOption {
	if plain(expression) {
		return nil
	}
	return []cel.ProgramOption{cel.CostLimit(costLimit), cel.InterruptCheckFrequency(1000)}
}

// plain reports whether an expression has no loop in a loop, and no function that gives
// more than it was given: nested, such ones give any amount (replace).
func plain(expression *cel.Ast) bool {
	root := ast.NavigateAST(expression.NativeRep())
	for _, loop := range loops(root) {
		if len(loops(loop)) > 1 { // itself
			return false
		}
	}
	for _, call := range ast.MatchDescendants(root, ast.KindMatcher(ast.CallKind)) {
		if !slices.Contains(linear(), call.AsCall().FunctionName()) {
			return false
		}
	}
	return true
}

func loops(in ast.NavigableExpr) []ast.NavigableExpr {
	return ast.MatchDescendants(in, ast.KindMatcher(ast.ComprehensionKind))
}

// linear are the functions that look at their arguments once, and give no more than
// a number or a part of them.
func linear() []string {
	return []string{
		operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot,
		operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.In, operators.Index, operators.NotStrictlyFalse, "startsWith", "endsWith", "contains", "size", "duration", "timestamp", "in_cidr",
	}
}
