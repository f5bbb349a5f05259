"""`average`: a running mean of the parameters stands in evaluation for the parameters themselves."""
