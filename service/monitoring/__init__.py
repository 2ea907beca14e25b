"""How the model does here: metrics of what is kept, and gauges for Prometheus."""
