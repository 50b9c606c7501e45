"""Recurrent sequence models: any cell written as equations, run at fused speed."""
