"""Items, orders, and the lines between them."""

from django.db import models


class Item(models.Model):
    name = models.CharField(max_length=80, unique=True)
    stock = models.IntegerField(default=0)
    details = models.JSONField(null=True)


class Order(models.Model):
    customer = models.CharField(max_length=80)
    placed = models.DateTimeField()


class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    item = models.ForeignKey(Item, models.CASCADE)
    count = models.PositiveIntegerField()
