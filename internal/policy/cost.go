package policy

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// costLimit bounds the evaluation of one rule, in CEL's own units: a hostile
// or clumsy expression ends with an error instead of eating the daemon.
const costLimit = 1_000_000

// bounded gives the options that bound an expression's evaluation. CEL counts the cost
// of each step, which takes as long as the step; a plain expression needs no counting.
func bounded(expression *cel.Ast) []cel.ProgramOption {
	if plain(expression) {
		return nil
	}
	return []cel.ProgramOption{cel.CostLimit(costLimit)}
}

// plain reports whether an expression looks at each fact at most once for each of its
// own parts. A loop may be over one fact (a disk's tags) and look at no other, nor at all
// of that again: else the sizes of two multiply, as they do in a loop in a loop, and with
// a list that the expression spells out its own size does. So do functions that give
// more than they were given (replace).
func plain(expression *cel.Ast) bool {
	root := ast.NavigateAST(expression.NativeRep())
	for _, loop := range loops(root) {
		if loop.AsComprehension().IterRange().Kind() != ast.IdentKind || len(loops(loop)) > 1 || facts(loop) > 1 {
			return false
		}
	}
	for _, call := range ast.MatchDescendants(root, ast.KindMatcher(ast.CallKind)) {
		if !linear(call.AsCall().FunctionName()) {
			return false
		}
	}
	return true
}

// facts counts how often a loop names something that is not its own, the fact that it is
// over among that.
func facts(loop ast.NavigableExpr) (n int) {
	c := loop.AsComprehension()
	if c.IterRange().AsIdent() == c.IterVar() {
		n = 1 // not told from its element below
	}
	for _, name := range ast.MatchDescendants(loop, ast.KindMatcher(ast.IdentKind)) {
		if id := name.AsIdent(); id != c.IterVar() && id != c.AccuVar() {
			n++
		}
	}
	return n
}

// loops are those in the expression, itself too.
func loops(in ast.NavigableExpr) []ast.NavigableExpr {
	return ast.MatchDescendants(in, ast.KindMatcher(ast.ComprehensionKind))
}

// linear reports whether a function looks at its arguments once, and gives no more than
// a number or a part of them.
func linear(function string) bool {
	switch function {
	case operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.NotStrictlyFalse,
		operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.In, operators.Index, "startsWith", "endsWith", "contains", "size", "duration", "timestamp", "in_cidr":
		return true
	}
	return false
}
